"""A PEFT LoRA adapter that adds an edit to a model: W + B A with lora_alpha = r, so that the scale is 1.

stored as                   delta            B [d_out, r]   A [r, d_in]
Linear  [d_out, d_in]       a b              a              b
Conv1D  [d_in, d_out]       a b              bᵀ             aᵀ              fan_in_fan_out

All maps get one rank, factors of a smaller one padded with zeros: servers read no rank per map.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from editharness.errors import MethodError
from editharness.export.lowrank import Factored, factored, smaller
from editharness.models.capture import submodule
from editharness.models.modules import is_transposed

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.export.provenance import Base
    from editharness.patch import WeightPatch

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Fit:
    """How well an adapter of rank `rank` holds an edit: relative error (Frobenius) in all and by weight; 0: exact."""

    rank: int
    error: float
    errors: Mapping[str, float]

    def __str__(self) -> str:
        if not self.error:
            return f"rank {self.rank}, exact"
        return f"rank {self.rank}, relative error {self.error:.3g} (Frobenius norm of what is left out)"


def write_adapter(model: nn.Module, patch: WeightPatch, base: Base, folder: Path, *, rank: int | None = None) -> Fit:
    """Write adapter_config.json and adapter_model.safetensors. Raises MethodError for what PEFT cannot hold.

    Without `rank` the edit is held exactly, or refused; with it, its `rank` largest directions are kept.
    """
    from safetensors.torch import save_file

    maps = linear_maps(model, patch)
    made = {name: factored(delta, rank) for name, delta in patch.deltas.items()}
    if rank is None:
        _check_small(made)
    width = max(one.kept for one in made.values())
    tensors: dict[str, Tensor] = {}
    for name, one in made.items():
        place = f"base_model.model.{name.removesuffix('.weight')}"
        up, down = (one.b.mT, one.a.mT) if is_transposed(maps[name]) else (one.a, one.b)
        tensors[f"{place}.lora_A.weight"] = _padded(down, width, 0)
        tensors[f"{place}.lora_B.weight"] = _padded(up, width, 1)
    _write_config(folder, maps, width, base)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    return _fit(made, width)


def _write_config(folder: Path, maps: Mapping[str, nn.Module], rank: int, base: Base) -> None:
    """adapter_config.json as peft writes it, with its maps in order: peft keeps them as a set."""
    from peft import LoraConfig

    names = sorted(name.removesuffix(".weight") for name in maps)
    config = LoraConfig(
        r=rank, lora_alpha=rank, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM", inference_mode=True,
        target_modules=names, fan_in_fan_out=any(map(is_transposed, maps.values())),
        base_model_name_or_path=base.name, revision=base.revision,
    )  # fmt: skip
    config.save_pretrained(folder)
    path = folder / "adapter_config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**raw, "target_modules": names}, indent=2) + "\n", encoding="utf-8")


def linear_maps(model: nn.Module, patch: WeightPatch) -> dict[str, nn.Module]:
    """The maps whose weights a patch changes, by the weight's name; raises MethodError for anything else it changes."""
    found: dict[str, nn.Module] = {}
    for name in patch.deltas:
        place, _, leaf = name.rpartition(".")
        module = submodule(model, place)
        if leaf != "weight" or not isinstance(module, nn.Linear | Conv1D):
            raise MethodError(f"the edit changes {name}, {_noun(module, leaf)}, which {_OTHERWISE}")
        found[name] = module
    if len({is_transposed(module) for module in found.values()}) > 1:
        raise MethodError(f"the edit changes maps stored as Conv1D and as Linear, which {_OTHERWISE}")
    return found


_OTHERWISE = "no LoRA adapter of PEFT holds: save it --as checkpoint or --as patch"


def _noun(module: nn.Module, leaf: str) -> str:
    if leaf == "bias":
        return "a bias"
    return "an embedding" if isinstance(module, nn.Embedding) else f"a {leaf} of {type(module).__name__}"


def _check_small(made: Mapping[str, Factored]) -> None:
    """Refuse an adapter that would be larger than the weights."""
    for name, one in made.items():
        rows, columns = one.a.shape[0], one.b.shape[1]
        if not smaller(one.kept, rows, columns):
            raise MethodError(
                f"the change of {name} has rank {one.rank} of {min(rows, columns)}: an exact adapter would be larger "
                "than the weight; keep a part of it with --rank R (the error is then told), or save it --as checkpoint"
            )


def _padded(factor: Tensor, width: int, dim: int) -> Tensor:
    """A factor with zeros up to rank `width`, as safetensors wants it."""
    grown = list(factor.shape)
    grown[dim] = width
    padded = torch.zeros(grown)
    padded.narrow(dim, 0, factor.shape[dim]).copy_(factor)
    return padded


def _fit(made: Mapping[str, Factored], width: int) -> Fit:
    lost = math.hypot(*(one.lost for one in made.values()))
    norm = math.hypot(*(one.norm for one in made.values()))
    return Fit(width, _share(lost, norm), {name: _share(one.lost, one.norm) for name, one in made.items()})


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
