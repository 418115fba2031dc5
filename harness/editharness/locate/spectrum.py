"""Singular values of a change, without ever forming it where it is known by its factors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from editharness.patch import Dense, LowRank

if TYPE_CHECKING:
    from torch import Tensor


def thin_svd(change: LowRank | Dense) -> tuple[Tensor, Tensor, Tensor]:
    """U [rows, r], S descending [r], Vᵀ [r, columns], fp64, of a change in either orientation.

    For factors a @ b of rank r two QR decompositions leave an SVD of r x r: a = Qa Ra and bᵀ = Qb Rb, so that
    a b = Qa (Ra Rbᵀ) Qbᵀ.
    """
    if isinstance(change, Dense):
        return _svd(change.delta.double())
    left, upper = torch.linalg.qr(change.a.double())
    right, lower = torch.linalg.qr(change.b.double().mT)
    u, s, vt = _svd(upper @ lower.mT)
    return left @ u, s, vt @ right.mT


def _svd(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    return u, s, vt


def numeric_rank(singular: Tensor, size: int) -> int:
    """How many singular values of a matrix held in fp32, `size` its larger side, are more than its rounding."""
    return int((singular > singular[:1] * size * torch.finfo(torch.float32).eps).sum())


def largest_singular(weight: Tensor) -> float:
    """σ_max of a weight: the root of the largest eigenvalue of the smaller of W Wᵀ and Wᵀ W, in fp64."""
    wide = weight.double()
    gram = wide @ wide.mT if wide.shape[0] <= wide.shape[1] else wide.mT @ wide
    return float(torch.linalg.eigvalsh(gram)[-1].clamp(min=0).sqrt())
