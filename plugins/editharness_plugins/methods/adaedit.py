"""AdaEdit (Li and Chu, ACL 2025), as the authors of arXiv 2510.00625 re-implement it.

Neither the paper's code nor its formulas could be had: only its abstract ("disentangled and sparsified knowledge
representation" of the change). What follows is that re-implementation and could not be verified against the paper.
PMET's vectors and solve; then each layer's change Δ = U S Vᵀ keeps its largest singular triplets, and of every kept
singular vector its largest entries, with both factors scaled back to the norms they had:

    Δ' = U' S V'ᵀ,   U' = sparse(U) |U| / |sparse(U)|,   V' alike

The re-implementation counts the kept triplets of min(d_h, d_k), not of the rank (`rank_base` "dims"): a batch of fewer
edits than that loses none. Its norms include the null directions, which are arbitrary; ours have those of Δ only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from editharness.locate.options import AdaEditOptions
from editharness.locate.spectrum import numeric_rank, thin_svd
from editharness.method import Host
from editharness.patch import Dense, LowRank
from editharness.patch.values import shape
from editharness_plugins.methods.pmet import Pmet

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.prior import PriorKeys


class AdaEdit(Pmet):
    """PMET whose change is truncated and made sparse in its singular vectors."""

    options: AdaEditOptions

    def solve(self, host: Host, layer: int, key: Tensor, residual: Tensor, prior: PriorKeys) -> LowRank | Dense:
        """PMET's change, filtered at once: later layers see what is left of it."""
        change = super().solve(host, layer, key, residual, prior)
        return sparsified(change, self.options.topr, self.options.topk, self.options.rank_base == "numeric_rank")


def sparsified(change: LowRank | Dense, topr: float, topk: float, of_rank: bool) -> LowRank | Dense:
    """U' S V'ᵀ as factors in fp32; at least one triplet and one entry of each vector stay."""
    u, s, vt = thin_svd(change)
    rank = numeric_rank(s, max(shape(change)))
    if rank == 0:
        return change
    kept = min(rank, share_of(topr, rank if of_rank else min(shape(change))))
    left, right = (largest(vectors[:, :kept], topk) for vectors in (u, vt.mT))
    return LowRank(a=(left * s[:kept]).float(), b=right.mT.contiguous().float())


def largest(vectors: Tensor, share: float) -> Tensor:
    """The largest entries of every column [d, r], the others 0, scaled to the Frobenius norm from before."""
    least = vectors.abs().topk(share_of(share, len(vectors)), dim=0).values[-1]
    sparse = vectors.where(vectors.abs() >= least, 0.0)
    scaled: Tensor = sparse * (vectors.norm() / sparse.norm())
    return scaled


def share_of(share: float, count: int) -> int:
    """⌊share · count⌋, at least 1; a share such as 0.29, which fp64 holds too small, is not cut by that."""
    return max(1, int(share * count + 1e-9))
