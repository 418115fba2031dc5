"""PRUNE: perturbation restraint on upper bound (Ma et al., "Perturbation-restrained sequential editing", ICLR 2025).

Many edits in a row make the sum of all changes ΔΣ = W − W0 ever larger than W0 itself, and general abilities go. With
σ0 the largest singular value of the unedited W0 and ΔΣ = U S Vᵀ, each singular value s ≥ σ0 is restrained:

    s' = log_α(s) − log_α(σ0) + σ0   (`curve` log, α = `base`, e by default)   or   s' = (s + σ0) / 2   (linear)
    W' = W0 + U S' Vᵀ

Continuous at σ0; smaller singular values, and all singular vectors, stay. `scope` "sequence_end" is the paper's: the
whole sequence is edited without it and only what is evaluated is restrained. "per_batch" (arXiv 2510.00625) restrains
each batch's change against the weight as it then is, and the next layer and batch see it. Note that the logarithm
restrains only where σ0 ln α ≥ 1: below, it first grows faster than s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from editharness.locate.options import PruneOptions
from editharness.locate.spectrum import largest_singular, numeric_rank, thin_svd
from editharness.method import Host
from editharness.patch import Dense, LowRank, Patch, WeightPatch
from editharness.patch.values import shape
from editharness_plugins.methods.memit import Memit

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.prior import PriorKeys


class Prune(Memit):
    """MEMIT whose accumulated change is restrained."""

    options: PruneOptions

    def view(self, host: Host, total: Patch) -> Patch:
        """The sum of all edits so far, restrained against the unedited weights."""
        if self.options.scope == "per_batch" or not isinstance(total, WeightPatch):
            return total
        limits = {name: largest_singular(host.original(name)) for name in total.deltas}
        return WeightPatch({name: self.restrained(total.deltas[name], limits[name]) for name in limits})

    def solve(self, host: Host, layer: int, key: Tensor, residual: Tensor, prior: PriorKeys) -> LowRank | Dense:
        """MEMIT's change, restrained at once under "per_batch"."""
        change = super().solve(host, layer, key, residual, prior)
        if self.options.scope == "sequence_end":
            return change
        weight = host.model.get_parameter(host.modules.down_weight(layer)).detach()
        return self.restrained(change, largest_singular(weight))

    def restrained(self, change: LowRank | Dense, limit: float) -> LowRank | Dense:
        """A change with its singular values from `limit` on pulled in."""
        return restrained(change, limit, self.options.base if self.options.curve == "log" else None)


def restrained(change: LowRank | Dense, limit: float, base: float | None) -> LowRank | Dense:
    """U S' Vᵀ for S' = S with every s ≥ limit restrained, by the logarithm to `base` or linearly (None).

    The change itself, to the bit, where no singular value is that large; else factors, in fp32, of its numeric rank.
    """
    u, s, vt = thin_svd(change)
    rank = numeric_rank(s, max(shape(change)))
    if rank == 0 or float(s[0]) < limit:
        return change
    pulled = (s + limit) / 2 if base is None else limit + (s / limit).log() / math.log(base)
    kept = torch.where(s >= limit, pulled, s)[:rank]
    return LowRank(a=(u[:, :rank] * kept).float(), b=vt[:rank].float())
