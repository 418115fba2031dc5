"""Exact running moments: mean and spread of features over all rows seen so far, batch by batch.

Two sets of n_a and n_b rows join exactly (Chan, Golub and LeVeque, 1979), with d = mean_b − mean_a:

    n = n_a + n_b,    mean = mean_a + d n_b / n,    M2 = M2_a + M2_b + d² n_a n_b / n

The order of batches and their sizes do not matter, a batch of one row included. Population moments: sd² = M2 / n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.types import State


@dataclass(frozen=True)
class Running:
    """Moments of `count` rows: mean [d] and m2 [d], the sum of squared distances from it; fp64."""

    count: int
    mean: Tensor
    m2: Tensor

    @classmethod
    def empty(cls, size: int, device: torch.device | None = None) -> Running:
        """No rows yet."""
        zeros = torch.zeros(size, dtype=torch.float64, device=device)
        return cls(0, zeros, zeros)

    @classmethod
    def of(cls, rows: Tensor) -> Running:
        """The moments of rows [n, d], n ≥ 0."""
        if len(rows) == 0:
            return cls.empty(rows.shape[1], rows.device)
        exact = rows.detach().double()
        mean = exact.mean(dim=0)
        return cls(len(rows), mean, (exact - mean).square().sum(dim=0))

    def merge(self, other: Running) -> Running:
        """These rows and the other's."""
        count = self.count + other.count
        if count == 0:
            return self
        mean, m2 = other.mean.to(self.mean.device), other.m2.to(self.mean.device)
        apart = mean - self.mean
        return Running(
            count,
            self.mean + apart * (other.count / count),
            self.m2 + m2 + apart.square() * (self.count * other.count / count),
        )

    def add(self, rows: Tensor) -> Running:
        """These and the rows [n, d] of one more batch."""
        return self.merge(Running.of(rows))

    @property
    def deviation(self) -> Tensor:
        """Sd of every feature [d] fp64; 0 where all rows are equal, and while there are none."""
        return (self.m2 / max(self.count, 1)).clamp(min=0).sqrt()

    def normalise(self, rows: Tensor, floor: Tensor | float = 0.0) -> Tensor:
        """(rows − mean) / max(sd, floor) [n, d], of the dtype and on the device of `rows`.

        A feature without spread and without a floor gives 0, not a number divided by nearly nothing.
        """
        spread = self.deviation.clamp(min=floor) if isinstance(floor, float) else self.deviation.maximum(floor)
        apart = rows.double() - self.mean.to(rows.device)
        spread = spread.to(rows.device)
        return torch.where(spread > 0, apart / spread, 0.0).to(rows.dtype)

    def to_state(self, name: str) -> dict[str, Tensor]:
        """As named tensors: "<name>.count", "<name>.mean", "<name>.m2"."""
        return {f"{name}.count": torch.tensor(self.count), f"{name}.mean": self.mean, f"{name}.m2": self.m2}

    @classmethod
    def from_state(cls, state: State, name: str, size: int) -> Running:
        """What `to_state` wrote; empty where the state holds nothing of this name."""
        if f"{name}.count" not in state:
            return cls.empty(size)
        return cls(int(state[f"{name}.count"]), state[f"{name}.mean"], state[f"{name}.m2"])
