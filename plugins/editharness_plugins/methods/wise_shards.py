"""WISE's side memories as a value: which one learns, which are finished, how they are merged (TIES)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch import Generator

    from editharness.types import State
    from editharness_plugins.methods.options.memories import WiseOptions


@dataclass(frozen=True)
class Shards:
    """The side memory and those that are finished; weights fp32 in the stored orientation.

    base, side, mask [*shape]; lowest []: the lowest score of the side memory's edits; saved [n, *shape] with
    saved_lowest [n]; merged [0 or 1, *shape] with merged_lowest (retrieve=false); edits []: how many there were.
    """

    base: Tensor
    side: Tensor
    mask: Tensor
    lowest: Tensor
    saved: Tensor
    saved_lowest: Tensor
    merged: Tensor
    merged_lowest: Tensor
    edits: Tensor

    @classmethod
    def of(cls, state: State, base: Tensor) -> Shards:
        """The memories that a state holds; none where it is empty."""
        if "side" in state:
            return cls(base, **{name: state[name] for name in cls.__dataclass_fields__ if name != "base"})
        none, nobody = base.new_zeros(0, *base.shape), torch.zeros(0)
        nothing = torch.ones_like(base, dtype=torch.bool)
        return cls(base, base, nothing, torch.tensor(torch.inf), none, nobody, none, nobody, torch.tensor(0))

    def tensors(self) -> dict[str, Tensor]:
        """By name, as a state has them; the layer's own weight is not carried."""
        return {name: tensor for name, tensor in vars(self).items() if name != "base"}

    def opened(self, o: WiseOptions, rng: Generator) -> Shards:
        """With a fresh side memory and mask where the last one was finished."""
        if int(self.edits) % o.save_freq:
            return self
        mask = torch.rand(self.base.shape, generator=rng) < o.mask_ratio
        return replace(self, side=self.base, mask=mask, lowest=torch.tensor(torch.inf))

    def learnt(self, side: Tensor, score: float) -> Shards:
        """With one more edit in the side memory."""
        return replace(self, side=side, lowest=self.lowest.clamp(max=score), edits=self.edits + 1)

    def closed(self, o: WiseOptions) -> Shards:
        """With the side memory put away and memories merged, where it is time."""
        shards = self
        if int(self.edits) % o.save_freq == 0:
            saved, lowest = _cat(self.saved, self.side[None]), _cat(self.saved_lowest, self.lowest[None])
            shards = replace(shards, saved=saved, saved_lowest=lowest)
        if int(self.edits) % o.merge_freq == 0:
            shards = shards._merged(o.merge_freq // o.save_freq, o.density) if o.retrieve else shards._collapsed(o)
        return shards

    def read(self, o: WiseOptions) -> tuple[Tensor, Tensor, bool]:
        """What a layer chooses among: weights [n, *shape], lowest scores [n], whether the first is unfinished."""
        shards = self if o.retrieve else self._collapsed(o)
        unfinished = int(self.edits) % o.save_freq != 0
        weights, lowest = _cat(shards.merged, shards.saved), _cat(shards.merged_lowest, shards.saved_lowest)
        if unfinished:
            weights, lowest = _cat(self.side[None], weights), _cat(self.lowest[None], lowest)
        # merged into one, memories share their threshold
        return weights, lowest if o.retrieve else lowest.min().expand(len(lowest)).clone(), unfinished

    def _merged(self, count: int, density: float) -> Shards:
        """The last `count` memories as one."""
        one = ties(self.base, self.saved[-count:], torch.full((count,), 1 / count), density)
        lowest = self.saved_lowest[-count:].min()
        return replace(
            self,
            saved=_cat(self.saved[:-count], one[None]),
            saved_lowest=_cat(self.saved_lowest[:-count], lowest[None]),
        )

    def _collapsed(self, o: WiseOptions) -> Shards:
        """All finished memories as one; what was merged before counts 0.6."""
        if not len(self.saved):
            return self
        shares = torch.full((len(self.saved),), (0.4 if len(self.merged) else 1.0) / len(self.saved))
        shares = _cat(shares, torch.full((len(self.merged),), 0.6))
        one = ties(self.base, _cat(self.saved, self.merged), shares, o.density)
        lowest = _cat(self.saved_lowest, self.merged_lowest).min()
        none = self.saved[:0], self.saved_lowest[:0]
        return replace(self, saved=none[0], saved_lowest=none[1], merged=one[None], merged_lowest=lowest[None])


def ties(base: Tensor, weights: Tensor, shares: Tensor, density: float) -> Tensor:
    """Several memories [n, ...] of one weight as one: TIES (Yadav et al., 2023).

    Of each change to `base` the `density` share of largest entries is kept; per entry the sign of the weighted sum is
    elected, and the changes of that sign are averaged, weighted by `shares` [n].
    """
    deltas = torch.stack([_largest(weight - base, density) for weight in weights])
    share = shares.view(-1, *[1] * base.ndim)
    weighted = deltas * share
    elected = torch.where(weighted.sum(dim=0) >= 0, 1.0, -1.0)
    agree = weighted.sign() == elected
    total = (share * agree).sum(dim=0)
    return base + (weighted * agree).sum(dim=0) / torch.where(total == 0, 1.0, total)


def _largest(delta: Tensor, density: float) -> Tensor:
    count = int(density * delta.numel())
    kept = torch.zeros_like(delta).flatten()
    if count:
        kept[delta.abs().flatten().topk(count).indices] = 1.0
    return delta * kept.view_as(delta)


def _cat(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first, second])
