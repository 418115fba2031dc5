"""MEND: model editor networks with gradient decomposition (Mitchell et al., ICLR 2022).

A fact's gradient is a sum of outer products over tokens, ∂L/∂W = Σ_t g_t k_tᵀ. A net turns each pair of factors into a
pseudo pair, and the change is a step of learnt length α along their sum:

    k̃_t, g̃_t = net(norm([k_t; g_t])),     Δ = −α Σ_t g̃_t k̃_tᵀ

trained on  c_edit (−log p_edited(answer | rewording)) + c_loc KL(p ‖ p_edited), the latter at every token of unrelated
text. Written from the published code (eric-mitchell/mend and EasyEdit's copy), without the paper's equation numbers.

Sign: minus, as in gradient descent, so that a fresh net (the identity) learns the fact a little. The published code
adds and lets the net learn the sign; numbers of its archives would need −α. As there, the net's output stays
normalised, and the moments are those of training, frozen while editing. Otherwise than there: the last numbers are
kept, not the best on a validation set, and a token counts where its key and its gradient are not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from editharness.locate.gradients import Factors
from editharness.method import Host
from editharness.models.modules import to_math
from editharness.patch import Dense, LowRank
from editharness.types import Case
from editharness_plugins.methods.hypernetwork.editor import Hypernetwork, joined
from editharness_plugins.methods.hypernetwork.learning import (
    Learned,
    Learning,
    Numbers,
    added,
    clipped,
    gradient_of,
    leaves,
)
from editharness_plugins.methods.hypernetwork.lessons import Lesson, lesson
from editharness_plugins.methods.hypernetwork.maps import changed, masters, matrix
from editharness_plugins.methods.hypernetwork.nets import Nets, mend_block
from editharness_plugins.methods.options.hypernetworks import MendOptions

if TYPE_CHECKING:
    from torch import Tensor

    from editharness_plugins.methods.hypernetwork.maps import Map


class Mend(Hypernetwork[MendOptions]):
    """MEND on the MLPs of the last three blocks."""

    @property
    def every_token(self) -> bool:
        """Factors of all tokens."""
        return True

    def nets(self, maps: Sequence[Map]) -> Nets:
        """One net per shape."""
        return Nets(maps, self.options.blocks, self.options.rank, mend_block)

    def fresh(self, host: Host, nets: Nets) -> dict[str, Tensor]:
        """Identity nets and the step sizes α."""
        return {**nets.fresh(host.rng, host.device), **nets.per_map("scale", self.options.scale, host.device)}

    def learn(self, host: Host, nets: Nets, cases: Sequence[Case], now: Learning) -> tuple[Learning, float]:
        """One step of Adam over `accumulate` lessons."""
        o, total = self.options, 0.0
        gradient: Numbers = {}
        for _ in range(o.accumulate):
            chosen, now = self.next_cases(host, cases, now)
            given = lesson([cases[i] for i in chosen], o.outer, host.rng)
            loss, found, learned = self.gradient(host, nets, now.learned, given)
            now, total = replace(now, learned=learned), total + loss / o.accumulate
            gradient = added(gradient, found, 1 / o.accumulate)
        numbers = now.learned.numbers
        lr = {name: o.scale_lr if nets.is_per_map(name) else o.lr for name in numbers}
        numbers, adam = now.adam.step(numbers, clipped(gradient, o.clip), lr)
        return replace(now, learned=replace(now.learned, numbers=numbers), adam=adam), total

    def gradient(self, host: Host, nets: Nets, learned: Learned, given: Lesson) -> tuple[float, Numbers, Learned]:
        """The loss of one lesson, its gradient in the nets' numbers, and the moments after it."""
        found = self.factors(host, host.model, nets.maps, given.edits).factors
        learned = self.counted(learned, nets.maps, found)
        variable = leaves(learned)
        with torch.enable_grad():
            deltas = [matrix(self.change(nets, variable, one, found[one.module])) for one in nets.maps]
        before = masters(host.model, nets.maps)
        pull = self.pull(host, before, changed(before, nets.maps, [Dense(d.detach()) for d in deltas]), given)
        pulls = [to_math(pull.gradient[one.weight], one.transposed) for one in nets.maps]
        return float(pull.loss), gradient_of(deltas, pulls, variable.numbers), learned

    def change(self, nets: Nets, learned: Learned, one: Map, factors: Factors) -> LowRank:
        """The sum over N tokens, of rank N."""
        live = self.live(factors)
        z = learned.moments[one.shape].normalise(joined(live))
        keys, gradients = nets.pseudo(learned.numbers, one, z)
        return LowRank(a=-learned.numbers[f"{one.shape}.scale"][one.index] * gradients.mT, b=keys)

    def live(self, factors: Factors) -> Factors:
        """Tokens with a gradient: in the last block only those at the answer have one."""
        kept = factors.keys.any(dim=1) & factors.gradients.any(dim=1)
        return Factors(factors.keys[kept], factors.gradients[kept], factors.row[kept])
