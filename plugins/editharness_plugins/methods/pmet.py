"""PMET: precise model editing in a transformer (Li et al., AAAI 2024).

MEMIT that searches two vectors together, one added to the attention's output a and one to the MLP's output m of the
last edited layer, and writes only the MLP's; what attention would have to change stays out of the weights (eq. 7-9):

    δ_a, δ_m = argmin NLL + KL + decay (|δ_a|/|a|² + |δ_m|/|m|²),   z = m + δ_m,   R = (z − m_now) / √(layers left)

`schedule`, `spread` and `bound` hold what the published code and its re-implementations do differently: `sand` has no
schedule, MEMIT's linear spread, and bounds δ_m by the norm of the block's output, since m's is small in early layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from editharness.locate.batch import Found, find_values
from editharness.locate.keys import mlp_outputs
from editharness.locate.objective import Schedule, published
from editharness.locate.options import PmetOptions
from editharness.locate.solve import spread
from editharness.locate.values import Search, Vector
from editharness.method import Host
from editharness.types import Edit
from editharness_plugins.methods.memit import Memit

if TYPE_CHECKING:
    from torch import Tensor


class Pmet(Memit):
    """PMET; AdaEdit derives from it."""

    options: PmetOptions

    def values(self, host: Host, edits: Sequence[Edit]) -> Found:
        """Target values z: outputs of the last edited layer's MLP."""
        layer, contexts = self.layers(host)[-1], self.contexts(host)
        return find_values(host, edits, layer, contexts, self.options, search=self.search())

    def search(self) -> Search:
        """MEMIT's loss over two vectors."""
        objective = published(self.options, Schedule() if self.options.schedule else None)
        mlp = Vector("mlp", "block") if self.options.bound == "block" else Vector("mlp")
        return Search(objective, (mlp, Vector("attention")))

    def current(self, host: Host, edits: Sequence[Edit]) -> Tensor:
        """The output of the last edited layer's MLP on the bare prompts [n, d_h]."""
        return mlp_outputs(host.model, host.modules, self.layers(host)[-1], host.encode(edits, targets=False))

    def residual(self, host: Host, layer: int, key: Tensor, share: Tensor) -> Tensor:
        """The share itself: targets are what an MLP writes, not what arrives in the stream behind a norm."""
        return share

    def share(self, missing: Tensor, remaining: int) -> Tensor:
        """R = E / √(layers left)."""
        return missing / math.sqrt(remaining) if self.options.spread == "sqrt" else spread(missing, remaining)
