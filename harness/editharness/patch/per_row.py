"""Rows of one batch, each under a patch of its own: x Wᵀ + (x bᵀ) aᵀ in place of x (W + a b)ᵀ.

    with per_row(model, [patch_of_row_0, patch_of_row_1, None]): model(ids)

No weight is written, so edits that stand alone are asked in one batch instead of one after the other. Rounding differs
from an applied patch in the last digits of fp32. In a model of 16-bit weights it would differ in what is asked: there
the rounding of W + a b is part of the edit, so such a patch does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from editharness.patch.values import LowRank, Patch, WeightPatch

if TYPE_CHECKING:
    from torch import Tensor

WORTH = 0.25
"""Largest size of the factors, as a share of the weight's, for which rows carry a patch.

`benchmarks/speed --only ranks`: asking together is faster up to about a half, and every row holds its factors."""


def rooms(model: nn.Module) -> Callable[[str], float]:
    """For a parameter's name, how many numbers factors of its change may have for rows to carry it; 0: none."""

    @cache
    def room(name: str) -> float:
        try:
            module, weight = model.get_submodule(_owner(name)), model.get_parameter(name)
        except AttributeError:
            return 0.0
        linear = isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"
        wide = weight.dtype in (torch.float32, torch.float64)
        return WORTH * weight.numel() * (linear and wide and name.endswith(".weight") and not weight.is_meta)

    return room


def fits(patch: Patch | None, room: Callable[[str], float]) -> bool:
    """Whether rows can carry this patch: low-rank changes of fp32 or fp64 weights of linear modules, small ones."""
    return isinstance(patch, WeightPatch) and all(
        isinstance(delta, LowRank) and delta.a.numel() + delta.b.numel() <= room(name)
        for name, delta in patch.deltas.items()
    )


@dataclass
class Patched:
    """The rows that are now answered, each with its factors: per parameter [rows, d_in, r] and [rows, r, d_out]."""

    factors: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the rows (their numbers [k] within those now answered)."""
        self.factors = {
            name: (left[rows.to(left.device)], right[rows.to(right.device)])
            for name, (left, right) in self.factors.items()
        }

    def add(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, *, name: str) -> Tensor:
        """A forward hook: the module's output [rows, T, d_out], with each row's own change added."""
        left, right = self.factors[name]
        return torch.baddbmm(output, torch.bmm(inputs[0], left), right)


@contextmanager
def per_row(model: nn.Module, patches: Sequence[WeightPatch]) -> Iterator[Patched]:
    """While this is open, row i of every batch is answered under `patches[i]` (`fits` said yes to each of them)."""
    patched = Patched()
    with ExitStack() as stack:
        for name in dict.fromkeys(name for patch in patches for name in patch.deltas):
            module = model.get_submodule(_owner(name))
            patched.factors[name] = _factors(module, [patch.deltas.get(name) for patch in patches])
            stack.callback(module.register_forward_hook(partial(patched.add, name=name)).remove)
        yield patched


def _factors(module: nn.Module, deltas: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """[rows, d_in, r] and [rows, r, d_out]; rows of a smaller rank, or without a change, are filled up with zeros."""
    weight = module.get_parameter("weight")
    flip = isinstance(module, nn.Linear)  # Conv1D stores its weight as [d_in, d_out]
    pairs = [None if delta is None else (delta.b.mT, delta.a.mT) if flip else (delta.a, delta.b) for delta in deltas]
    d_in, d_out = reversed(weight.shape) if flip else weight.shape
    rank = max(pair[0].shape[1] for pair in pairs if pair is not None)
    left, right = weight.new_zeros(len(pairs), d_in, rank), weight.new_zeros(len(pairs), rank, d_out)
    for row, pair in enumerate(pairs):
        if pair is not None:
            left[row, :, : pair[0].shape[1]], right[row, : pair[1].shape[0]] = pair
    return left, right


def _owner(parameter: str) -> str:
    return parameter.rpartition(".")[0]
