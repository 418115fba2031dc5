"""The nets: blocks of low rank over the normalised factors z = [k; g], each started at the identity.

MEND    h ← h + max(0, s ⊙ (U V h + b) + t)
MALMEN  h ← h + s ⊙ max(0, B A h + b) + t

All maps of one shape (d_in, d_out) share U, V, b; each has its own scale s and shift t. U = B = 0 makes a fresh net the
identity. The rest of a fresh net is 0 at the kink of max(0, ·), so the slope there must be 1 (clamp's), not 0 (relu's).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from editharness_plugins.methods.hypernetwork.maps import Map


@dataclass(frozen=True)
class Block:
    """One block as one map sees it. inner [n, r] and outer [r, n] (transposes of V and U), bias, scale, shift [n]."""

    inner: Tensor
    outer: Tensor
    bias: Tensor
    scale: Tensor
    shift: Tensor

    def linear(self, h: Tensor) -> Tensor:
        """U V h + b for rows h [N, n]."""
        return h @ self.inner @ self.outer + self.bias


def mend_block(block: Block, h: Tensor) -> Tensor:
    """Scale and shift inside the clamp (MEND)."""
    return h + (block.scale * block.linear(h) + block.shift).clamp(min=0)


def malmen_block(block: Block, h: Tensor) -> Tensor:
    """Scale and shift outside the clamp (MALMEN)."""
    return h + block.scale * block.linear(h).clamp(min=0) + block.shift


@dataclass(frozen=True)
class Nets:
    """One net per shape of the edited maps; its numbers are kept apart, by name: "<shape>.<block>.inner" and so on."""

    maps: Sequence[Map]
    blocks: int
    rank: int
    step: Callable[[Block, Tensor], Tensor]

    def fresh(self, rng: Generator, device: torch.device) -> dict[str, Tensor]:
        """Nets that are the identity, fp32; `inner` is drawn from N(0, 1)."""
        made: dict[str, Tensor] = {}
        for shape, width in {one.shape: one.d_in + one.d_out for one in self.maps}.items():
            rank, count = min(self.rank, width), sum(one.shape == shape for one in self.maps)
            for block in range(self.blocks):
                made |= {
                    f"{shape}.{block}.inner": torch.randn(width, rank, generator=rng),
                    f"{shape}.{block}.outer": torch.zeros(rank, width),
                    f"{shape}.{block}.bias": torch.zeros(width),
                    f"{shape}.{block}.scale": torch.ones(count, width),
                    f"{shape}.{block}.shift": torch.zeros(count, width),
                }
        return {name: tensor.to(device) for name, tensor in made.items()}

    def per_map(self, name: str, value: float, device: torch.device) -> dict[str, Tensor]:
        """One learnt number for every map, all `value`: "<shape>.<name>" [maps of the shape]."""
        counts = {one.shape: sum(other.shape == one.shape for other in self.maps) for one in self.maps}
        return {f"{shape}.{name}": torch.full((count,), value, device=device) for shape, count in counts.items()}

    def is_per_map(self, name: str) -> bool:
        """Whether a number is one that `per_map` made."""
        return name.count(".") == 1

    def pseudo(self, numbers: Mapping[str, Tensor], one: Map, z: Tensor) -> tuple[Tensor, Tensor]:
        """Pseudo factors k̃ [N, d_in] and g̃ [N, d_out] from normalised [k; g] [N, n]; they stay normalised."""
        h = z
        for block in range(self.blocks):
            h = self.step(_block(numbers, one, block), h)
        return h[:, : one.d_in], h[:, one.d_in :]


def _block(numbers: Mapping[str, Tensor], one: Map, block: int) -> Block:
    inner, outer, bias = (numbers[f"{one.shape}.{block}.{name}"] for name in ("inner", "outer", "bias"))
    scale, shift = (numbers[f"{one.shape}.{block}.{name}"][one.index] for name in ("scale", "shift"))
    return Block(inner, outer, bias, scale, shift)
