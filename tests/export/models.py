"""What tests of exports share: tiny models in folders, and patches of low and of full rank for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from editharness.export.provenance import Base, EditedFact, Provenance
from editharness.models.load import LoadedModel, load_model, quiet
from editharness.models.modules import module_map
from editharness.patch import Dense, LowRank, WeightPatch
from editharness.testing.tiny import save_tiny

IDS = torch.tensor([[5, 17, 44, 101, 7, 9]])


def opened(folder: Path, family: str, dtype: str = "float32", **options: Any) -> LoadedModel:
    """A tiny model of a family, written to `folder` and loaded from there."""
    if not (folder / "config.json").exists():
        save_tiny(family, folder, **options)
    return load_model(str(folder), dtype=dtype, device="cpu", offline=True)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def low_rank(model: Any, layers: tuple[int, ...] = (0, 2), rank: int = 2, scale: float = 0.05) -> WeightPatch:
    """A change of the down projections of some layers; ranks grow from layer to layer."""
    modules, deltas = module_map(model), {}
    for layer in layers:
        name = modules.down_weight(layer)
        rows, columns = model.get_parameter(name).shape
        width = rank + layer
        deltas[name] = LowRank(scale * draw(rows, width, seed=layer), draw(width, columns, seed=9 + layer))
    return WeightPatch(deltas)


def full_rank(model: Any, layer: int = 1) -> WeightPatch:
    name = module_map(model).down_weight(layer)
    return WeightPatch({name: Dense(0.05 * draw(*model.get_parameter(name).shape))})


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad(), quiet():
        found: torch.Tensor = model(input_ids=IDS).logits.float()
    return found


def base(loaded: LoadedModel, dtype: str = "float32") -> Base:
    return Base("tiny", None, loaded.architecture, loaded.digest, dtype)


def made(loaded: LoadedModel, **changes: Any) -> Provenance:
    """A provenance that says something of everything."""
    given: dict[str, Any] = {
        "method": "memit", "title": "MEMIT", "paper": "arXiv 2210.07229", "distribution": "editharness 0.1.0",
        "effect": "weights", "preset": "paper", "preset_source": "somewhere", "tuned": True, "options": {"layers": [1]},
        "schedule": "all", "seed": 0, "base": base(loaded), "facts_sha256": "ab" * 32, "versions": {"torch": "2"},
        "facts": (EditedFact("1", "Kenya", "The capital of Kenya is", "Rome", "done"),), "edited_digest": "cd" * 32,
    }  # fmt: skip
    return Provenance(**{**given, **changes})
