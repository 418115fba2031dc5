"""MALMEN's least squares: the one change that makes the wanted value shifts V [N, d_out] at the keys K [N, d_in].

    Δᵀ = (KᵀK + λ I)⁻¹ KᵀV = Kᵀ (KKᵀ + λ I)⁻¹ V                     λ = exp(log_ridge)

The second form (push-through) is a system of N tokens; the smaller one is solved, in fp64. Given D = ∂L/∂Δᵀ
[d_in, d_out] and Z = (KᵀK + λ I)⁻¹ D, the gradient behind the solve needs no graph through it:

    ∂L/∂V = K Z = (KKᵀ + λ I)⁻¹ K D                                  ∂L/∂log λ = −λ ⟨Z, Δᵀ⟩ = −⟨D − KᵀKZ, Δᵀ⟩
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from editharness.patch import Dense, LowRank

if TYPE_CHECKING:
    from torch import Tensor

    from editharness_plugins.methods.hypernetwork.maps import Change


def ridge_change(keys: Tensor, shifts: Tensor, log_ridge: Tensor) -> Change:
    """Δ [d_out, d_in] fp32; of rank N where there are fewer tokens than features."""
    k, v = keys.double(), shifts.double()
    if len(k) <= k.shape[1]:
        return LowRank(a=_solve(k @ k.mT, log_ridge, v).mT.float(), b=keys)
    return Dense(_solve(k.mT @ k, log_ridge, k.mT @ v).mT.float())


def ridge_gradient(keys: Tensor, change: Tensor, log_ridge: Tensor, pull: Tensor) -> tuple[Tensor, Tensor]:
    """∂L/∂V [N, d_out] and ∂L/∂log λ [] from `pull` = ∂L/∂Δ and Δ, both [d_out, d_in] (math orientation)."""
    k, d = keys.double(), pull.double().mT
    small = len(k) <= k.shape[1]
    behind = _solve(k @ k.mT, log_ridge, k @ d) if small else k @ _solve(k.mT @ k, log_ridge, d)
    ridge = -((d - k.mT @ behind) * change.double().mT).sum()
    return behind.float(), ridge.float()


def _solve(gram: Tensor, log_ridge: Tensor, right: Tensor) -> Tensor:
    """(gram + λ I)⁻¹ right; not a number where the system is not positive definite, for the caller to see."""
    system = gram.clone()
    system.diagonal().add_(log_ridge.double().exp())
    lower, failed = torch.linalg.cholesky_ex(system)
    solved: Tensor = torch.cholesky_solve(right, lower)
    return torch.full_like(solved, torch.nan) if bool(failed.item()) else solved
