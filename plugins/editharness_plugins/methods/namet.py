"""NAMET: noise-aware model editing (arXiv 2505.11876).

MEMIT whose values are searched with noise in their place, which keeps the representations of many edits apart. The
published code pads an edit's rows on the left but counts subjects as if it did not, so that in row j the vector enters,
and h_j is recorded, at

    p_j = t_j − pad_j,   pad_j = T_max − len_j        (t_j the subject's last token; keys are read at t_j)

Targets are z_j = h_j(p_j) + δ; an edit's residual is the mean of z_j − h_j(t_j) over the sampled contexts, without
the bare prompt. The decay is |δ repeated over the rows| / |H|, and the ball's radius a multiple of |H|, the norm over
all rows. Where p_j falls on padding, the vector enters the row nowhere and the row counts in no norm: what published
code records on a padding token depends on the runtime. Only the bare prompt and "<subject> is a" are that short.

Without `noise` (`sand`) subjects are counted with the padding, which then changes nothing: that is MEMIT itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from editharness.locate.batch import Found, find_values
from editharness.locate.keys import block_outputs
from editharness.locate.objective import Decay, Likelihood, Near, Objective
from editharness.locate.options import NametOptions
from editharness.locate.solve import solve
from editharness.locate.templates import VARIED
from editharness.locate.values import Search
from editharness.method import Host
from editharness.types import Edit
from editharness_plugins.methods.memit import Memit

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.prior import PriorKeys
    from editharness.patch import Dense, LowRank


class Namet(Memit):
    """MEMIT with noisy places; without `noise` MEMIT."""

    options: NametOptions

    def values(self, host: Host, edits: Sequence[Edit]) -> Found:
        """The mean over contexts of the targets z_j."""
        if not self.options.noise:
            return super().values(host, edits)
        layer, contexts = self.layers(host)[-1], self.contexts(host)
        return find_values(host, edits, layer, contexts, self.options, search=self.search())

    def search(self) -> Search:
        """MEMIT's loss with NAMET's places and norms."""
        o = self.options
        terms = (Likelihood(), Near(o.kl_weight), Decay(o.weight_decay, repeated=True))
        return Search(Objective(terms, o.loss_stop), shifted=True)

    def current(self, host: Host, edits: Sequence[Edit]) -> Tensor:
        """The last edited block's output at the subjects, mean over the sampled contexts [n, d_h]."""
        contexts = self.contexts(host)[1:]
        if not self.options.noise or not contexts:
            return super().current(host, edits)
        rows = block_outputs(
            host.model, host.modules, self.layers(host)[-1], host.encode(edits, contexts, targets=False)
        )
        return rows.reshape(len(edits), len(contexts), -1).mean(dim=1)

    def solve(self, host: Host, layer: int, key: Tensor, residual: Tensor, prior: PriorKeys) -> LowRank | Dense:
        """MEMIT's, with a weight of the second moments for each layer."""
        layers, weights = self.layers(host), self.options.layer_weights
        weight = weights[layers.index(layer)] if weights else self.options.covariance_weight
        return solve(host.moments(layer, together=layers).cholesky(weight), key, residual, prior=prior)

    def contexts(self, host: Host) -> tuple[str, ...]:
        """The bare prompt and the sampled contexts: NAMET's own, more varied than MEMIT's."""
        if not self.options.noise:
            return super().contexts(host)
        return ("{}", *host.templates(self.options.templates, self.options.template_length, VARIED))
