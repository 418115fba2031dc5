"""The one solver of the locate-then-edit family.

With A = A0 + Kp Kpᵀ the preservation matrix, K the keys and R the residuals of a batch,

    Δᵀ = A⁻¹ K (Kᵀ A⁻¹ K + ρ I)⁻¹ Rᵀ        (ρ = 1: MEMIT eq. 14; ρ = 0: the equality constraint of ROME and EMMET)

Methods differ in A0 (λC, identity, L2 in a null space), in ρ, and in whether earlier keys Kp count. Every A0 is given
as a Space, a map F with A0⁻¹ = F Fᵀ; in the coordinates Fᵀ k all systems are as small as the number of edits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from editharness.patch import LowRank

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.prior import PriorKeys


class Space(Protocol):
    """A preservation matrix A0 [d_k, d_k] by a map F with A0⁻¹ = F Fᵀ."""

    def whiten(self, keys: Tensor) -> Tensor:
        """Fᵀ keys: [d_k, n] -> [r, n]."""

    def back(self, whitened: Tensor) -> Tensor:
        """F whitened: [r, n] -> [d_k, n]."""


@dataclass(frozen=True)
class Factored:
    """A0 = weight · L Lᵀ with L lower triangular [d_k, d_k] (Cholesky factor of the second moments)."""

    lower: Tensor
    weight: float = 1.0

    def whiten(self, keys: Tensor) -> Tensor:
        """L⁻¹ keys / √weight."""
        solved: Tensor = torch.linalg.solve_triangular(self.lower, keys, upper=False)
        return solved / math.sqrt(self.weight)

    def back(self, whitened: Tensor) -> Tensor:
        """L⁻ᵀ whitened / √weight."""
        solved: Tensor = torch.linalg.solve_triangular(self.lower.mT, whitened, upper=True)
        return solved / math.sqrt(self.weight)


@dataclass(frozen=True)
class Scaled:
    """A0 = weight · I."""

    weight: float = 1.0

    def whiten(self, keys: Tensor) -> Tensor:
        """Keys / √weight."""
        return keys / math.sqrt(self.weight)

    def back(self, whitened: Tensor) -> Tensor:
        """Whitened / √weight."""
        return whitened / math.sqrt(self.weight)


@dataclass(frozen=True)
class Subspace:
    """A0 = weight · I inside the span of `basis` [d_k, r] (orthonormal), infinite outside: Δ stays in the span."""

    basis: Tensor
    weight: float = 1.0

    def whiten(self, keys: Tensor) -> Tensor:
        """Bᵀ keys / √weight."""
        return self.basis.mT @ keys / math.sqrt(self.weight)

    def back(self, whitened: Tensor) -> Tensor:
        """B whitened / √weight."""
        return self.basis @ whitened / math.sqrt(self.weight)


@dataclass(frozen=True)
class Outside:
    """A0 = weight · I outside the span of `basis` [d_k, d_k - r] (orthonormal), infinite inside: Δ stays outside.

    The same as a Subspace of the other r directions, by F = (I − B Bᵀ) / √weight; cheaper where these are the most.
    """

    basis: Tensor
    weight: float = 1.0

    def whiten(self, keys: Tensor) -> Tensor:
        """(keys − B Bᵀ keys) / √weight: [d_k, n] -> [d_k, n]."""
        scale = 1 / math.sqrt(self.weight)
        return torch.addmm(keys, self.basis, self.basis.mT @ keys, beta=scale, alpha=-scale)

    def back(self, whitened: Tensor) -> Tensor:
        """Whitened / √weight: what was whitened lies outside the span already."""
        return whitened / math.sqrt(self.weight)


def solve(
    space: Space, keys: Tensor, residual: Tensor, *, ridge: float = 1.0, prior: PriorKeys | None = None
) -> LowRank:
    """The change Δ [d_h, d_k] of rank n that moves the outputs of `keys` [d_k, n] by `residual` [d_h, n].

    fp64 throughout; the factors come back in fp32, in math orientation. Two equal keys with ridge 0 make the system
    singular: the least-norm solution is taken then.
    """
    key, residual = space.whiten(keys.double()), residual.double()
    if prior is None or prior.count == 0:
        # (K G⁻¹) Rᵀ as K (G⁻¹ Rᵀ): a residual is shorter than a key
        return LowRank(a=(residual @ _inverse(key.mT @ key, ridge)).float(), b=space.back(key).mT.float())
    if prior.gram is not None:
        response = _beside_gram(space, key, prior.gram, ridge)
    else:
        response = _beside_keys(space.whiten(prior.keys.to(key)), key, ridge)
    return LowRank(a=residual.float(), b=space.back(response).mT.float())


def rank_one(direction: Tensor, key: Tensor, residual: Tensor) -> LowRank:
    """Δ = residual · uᵀ / (uᵀ key): ROME eq. 2 for u = C⁻¹k; Δ key = residual exactly. All arguments are vectors."""
    scale = direction.double() @ key.double()
    return LowRank(a=(residual.double() / scale).float()[:, None], b=direction.float()[None, :])


def spread(residual: Tensor, remaining: int) -> Tensor:
    """What one layer takes of the residual when `remaining` layers, itself included, are still to be written."""
    return residual / remaining


def _beside_keys(earlier: Tensor, key: Tensor, ridge: float) -> Tensor:
    """Y (D + QᵀY)⁻¹ [0; I] for Q = [Kp, K], D = diag(1, …, ρ, …); whitened, Y is Q itself."""
    both = torch.cat([earlier, key], dim=1)
    weights = torch.ones(both.shape[1], dtype=both.dtype, device=both.device)
    weights[earlier.shape[1] :] = ridge
    return both @ _inverse(both.mT @ both, weights)[:, earlier.shape[1] :]


def _beside_gram(space: Space, key: Tensor, gram: Tensor, ridge: float) -> Tensor:
    """The same with Kp known by its Gram matrix only: one system of d_k instead of one of p + n."""
    inner = space.whiten(space.whiten(gram.to(key)).mT)
    inner.diagonal().add_(1.0)
    held = torch.cholesky_solve(key, torch.linalg.cholesky(inner))
    return held @ _inverse(key.mT @ held, ridge)


def _inverse(gram: Tensor, ridge: float | Tensor) -> Tensor:
    """(gram + ridge)⁻¹ for a positive semi-definite Gram matrix; the pseudo-inverse where it is singular."""
    system = gram.clone()
    system.diagonal().add_(ridge)
    lower, failed = torch.linalg.cholesky_ex(system)
    smallest, largest = lower.diagonal().abs().min(), lower.diagonal().abs().max()
    singular = bool(failed.item()) or bool(smallest < 1e-7 * largest)
    inverse: Tensor = (
        torch.linalg.pinv(system, hermitian=True, rtol=1e-12) if singular else torch.cholesky_inverse(lower)
    )
    return inverse
