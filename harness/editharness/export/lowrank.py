"""A delta as two factors: those it has, the fewest that hold it, or the best of a given rank with the error.

Δ = U diag(σ) Vᵀ; of the first r directions the error is |σ_{r+1..}| / |σ| (relative Frobenius norm, Eckart-Young).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from editharness.patch import Dense, LowRank
from editharness.patch.values import shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Factored:
    """delta ≈ a @ b, a [rows, r], b [r, columns] in fp32; `rank` of the delta itself, norms of delta and remainder."""

    a: Tensor
    b: Tensor
    rank: int
    norm: float
    lost: float

    @property
    def kept(self) -> int:
        """r, the rank of the factors."""
        return self.a.shape[1]

    @property
    def whole(self) -> bool:
        """Whether nothing but rounding is lost."""
        return self.kept >= self.rank


def factored(delta: LowRank | Dense, limit: int | None = None) -> Factored:
    """The factors of a delta, of rank `limit` at most; factors that are small enough stay as they are, bit for bit."""
    if isinstance(delta, LowRank) and delta.a.shape[1] <= (limit or _most(delta)):
        a, b = delta.a.float().cpu(), delta.b.float().cpu()
        return Factored(a, b, a.shape[1], float(torch.linalg.norm(a @ b)), 0.0)
    u, sigma, v = decomposed(delta)
    rank = numeric_rank(sigma, max(shape(delta)))
    kept = max(1, min(rank, limit or rank))
    root = sigma[:kept].sqrt()
    return Factored(
        a=(u[:, :kept] * root).float(),
        b=(root[:, None] * v[:kept]).float(),
        rank=rank,
        norm=float(sigma.norm()),
        lost=float(sigma[kept:].norm()) if kept < rank else 0.0,
    )


def smaller(kept: int, rows: int, columns: int) -> bool:
    """Whether two factors of this rank are smaller than the matrix."""
    return kept * (rows + columns) < rows * columns


def numeric_rank(sigma: Tensor, longest: int) -> int:
    """How many singular values are more than fp32 noise: numpy's rule, max(shape) eps σ_1."""
    return int((sigma > longest * torch.finfo(torch.float32).eps * sigma[0]).sum())


def decomposed(delta: LowRank | Dense) -> tuple[Tensor, Tensor, Tensor]:
    """U, σ, Vᵀ in fp64; of two factors by way of their QR, so that no full matrix is decomposed."""
    if isinstance(delta, Dense):
        u, sigma, v = torch.linalg.svd(delta.delta.double().cpu(), full_matrices=False)
        return u, sigma, v
    (left, inner), (right, outer) = torch.linalg.qr(delta.a.double().cpu()), torch.linalg.qr(delta.b.double().cpu().mT)
    u, sigma, v = torch.linalg.svd(inner @ outer.mT, full_matrices=False)
    return left @ u, sigma, v @ right.mT


def _most(delta: LowRank) -> int:
    """The largest rank whose factors are smaller than the matrix."""
    rows, columns = shape(delta)
    return (rows * columns - 1) // (rows + columns)
