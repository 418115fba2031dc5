"""Second moments C = E[k kᵀ] of the keys of a layer, and what methods need of them: factors, spectrum, null space.

Always of the unedited model. How they are gathered is in `collecting`, where they are kept in `moment_store`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from editharness.errors import MethodError
from editharness.locate.solve import Factored, Outside, Subspace

if TYPE_CHECKING:
    from torch import Tensor

FLOOR = 1e-8
"""Of the mean eigenvalue of C: what a direction is weighed at least, even if no text ever uses it."""


@dataclass(frozen=True)
class Moments:
    """C [d_k, d_k] fp64 over `tokens` tokens; `provenance` says of which model, layer and texts."""

    c: Tensor
    tokens: int
    provenance: Mapping[str, str | int] = field(default_factory=dict)
    _factors: dict[float, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def factor(self, floor: float = FLOOR) -> Tensor:
        """Lower Cholesky factor of C + floor · (mean eigenvalue) · I, computed once per floor.

        A model has directions that no text uses (dead neurons, or fewer tokens than d_k). Without a floor nothing holds
        a change back there, and weights grow until they overflow in half precision. Where rounding leaves C negative
        the floor is raised to what Cholesky takes.
        """
        if floor not in self._factors:
            mean, eye = self.c.diagonal().mean(), torch.eye(len(self.c)).to(self.c)
            for share in sorted({floor, *(step for step in (1e-6, 1e-4) if step > floor)}):
                lower, failed = torch.linalg.cholesky_ex(self.c + share * mean * eye)
                if not failed.item():
                    self._factors[floor] = lower
                    break
            else:
                raise MethodError(
                    f"second moments over {self.tokens} tokens are not positive: give other or more texts"
                )
        return self._factors[floor]

    def cholesky(self, weight: float = 1.0, floor: float = FLOOR) -> Factored:
        """The preservation matrix weight · (C with its floor), ready to solve with."""
        if weight <= 0:
            raise MethodError("the weight of the second moments must be above 0: write for example covariance_weight=1")
        return Factored(self.factor(floor), weight)

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues, ascending [d_k], and eigenvectors [d_k, d_k] of C, computed once."""
        values, vectors = torch.linalg.eigh(self.c)
        return values, vectors

    def null_basis(self, threshold: float) -> Tensor:
        """Orthonormal basis [d_k, r] of the directions with eigenvalue below `threshold` (AlphaEdit's null space).

        Absolute, so it depends on the scale of the model's keys; a view of the eigenvectors, not a copy.
        """
        values, vectors = self.spectrum
        return vectors[:, : int((values < threshold).sum())]

    def null_space(self, threshold: float, weight: float = 1.0) -> Subspace | Outside:
        """The same as a preservation matrix to solve with, by the fewer of the directions in it and out of it."""
        values, vectors = self.spectrum
        rank = int((values < threshold).sum())
        if 2 * rank <= len(values):
            return Subspace(vectors[:, :rank], weight)
        return Outside(vectors[:, rank:], weight)
