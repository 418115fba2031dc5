"""RECT: relative change in weight (Gu et al., "Model editing harms general abilities of LLMs", EMNLP 2024).

What an edit changes little, relative to the weight that it changes, is taken for overfitting and left as it was:

    Δ'ij = Δij where |Δij / Wij| is among the largest `keep` of the layer, else 0

The authors' code masks ROME's change; here, as in later comparisons, it is MEMIT's. Their code keeps 20%, their project
page recommends 40%. `score` "absolute" ranks by |Δij| alone and `when` "in_loop" masks before the next layer is solved
(arXiv 2510.00625 has both); "at_end" masks after all layers were. Ties are kept, and so is every change of a weight 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from editharness.locate.options import RectOptions
from editharness.method import Host
from editharness.models.modules import to_math
from editharness.patch import Dense, LowRank, WeightPatch
from editharness.patch.values import full
from editharness.types import Edit, State
from editharness_plugins.methods.memit import Memit

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.prior import PriorKeys


class Rect(Memit):
    """MEMIT whose change is made sparse."""

    options: RectOptions

    def solve(self, host: Host, layer: int, key: Tensor, residual: Tensor, prior: PriorKeys) -> LowRank | Dense:
        """MEMIT's change, masked at once where later layers are to see the mask."""
        change = super().solve(host, layer, key, residual, prior)
        if self.options.when == "at_end":
            return change
        weight = host.model.get_parameter(host.modules.down_weight(layer))
        return self.masked(change, to_math(weight, host.modules.transposed(layer)))

    def write(self, host: Host, edits: Sequence[Edit], target: Tensor, state: State) -> tuple[WeightPatch, State]:
        """MEMIT's changes; masked now where no layer was to see it."""
        patch, kept = super().write(host, edits, target, state)
        if self.options.when == "in_loop":
            return patch, kept
        weights = {name: host.model.get_parameter(name) for name in patch.deltas}
        return WeightPatch({name: self.masked(patch.deltas[name], weights[name]) for name in weights}), kept

    def masked(self, change: LowRank | Dense, weight: Tensor) -> Dense:
        """The change of a weight in the same orientation, its small entries set to 0."""
        current = weight.detach().float()
        return Dense(sparse(full(change, current), current, self.options.keep, self.options.score == "relative"))


def sparse(delta: Tensor, weight: Tensor, keep: float, relative: bool) -> Tensor:
    """Zero all but the top `keep` of the entries of Δ by |Δ / W| (relative) or |Δ|; a NaN stays where it is."""
    dropped = int(delta.numel() - keep * delta.numel())
    if dropped == 0:
        return delta
    score = delta.abs()
    if relative:
        score = torch.where(delta == 0, 0.0, score / weight.abs())
    least = score.flatten().kthvalue(dropped).values
    return torch.where(score < least, 0.0, delta)
