"""The solve: systems as small as the number of edits, against one as large as the layer is wide."""

from __future__ import annotations

import torch
from timing import Pair
from torch import Tensor

from editharness.locate.moments import Moments
from editharness.locate.solve import solve
from editharness.patch.values import LowRank

WEIGHT, L2, THRESHOLD = 15000.0, 10.0, 0.02


def moments(size: int) -> Moments:
    """Second moments whose eigenvalues fall as a power of their rank; 5% of them are above AlphaEdit's threshold."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.linalg.qr(torch.randn(size, size, generator=generator)).Q.double()
    values = THRESHOLD * (torch.arange(1, size + 1, dtype=torch.float64) / (0.05 * size)) ** -1.5
    return Moments((vectors * values) @ vectors.mT, 100_000)


def batch(size: int, hidden: int, edits: int) -> tuple[Tensor, Tensor]:
    """Keys [d_k, n] and residuals [d_h, n]."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(size, edits, generator=generator), torch.randn(hidden, edits, generator=generator)


def memit(size: int, hidden: int, edits: int, least: float) -> Pair:
    """The factorisation of λC is made once per layer and run, so it is outside both sides."""
    found, (keys, residual) = moments(size), batch(size, hidden, edits)
    space, scaled = found.cholesky(WEIGHT, 1e-8), WEIGHT * found.c

    def theirs() -> Tensor:
        k, r = keys.double(), residual.double()
        return (torch.linalg.solve(scaled + k @ k.mT, k) @ r.mT).mT

    return Pair(
        f"MEMIT's solve, d_k {size:,}, {edits} edits", lambda: solve(space, keys, residual), theirs, _agree, least
    )


def alphaedit(size: int, hidden: int, edits: int, least: float) -> Pair:
    """P is made once per layer and run, so it is outside both sides; the other side is the authors' own, in fp32."""
    found, (keys, residual) = moments(size), batch(size, hidden, edits)
    space = found.null_space(THRESHOLD, L2)
    basis = found.null_basis(THRESHOLD)
    projection = (basis @ basis.mT).float()

    def theirs() -> Tensor:
        system = projection @ (keys @ keys.mT) + L2 * torch.eye(size)
        return torch.linalg.solve(system, projection @ keys @ residual.mT).mT

    return Pair(
        f"AlphaEdit's solve, d_k {size:,} ({basis.shape[1]:,} of them in the null space), {edits} edits",
        lambda: solve(space, keys, residual), theirs, _agree, least,
    )  # fmt: skip


def _agree(ours: LowRank, theirs: Tensor) -> str:
    full = ours.a.double() @ ours.b.double()
    return f"deltas within {float((full - theirs).norm() / full.norm()):.0e}"
