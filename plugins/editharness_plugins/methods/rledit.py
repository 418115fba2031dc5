"""RLEdit: lifelong editing as reinforcement learning (Li et al., ICML 2025).

MALMEN's nets and regression, trained along a trajectory of edited models: the state is the weights W_i, the action the
change Δ_i, and the reward counts what the last groups of edits still give under W_{i+1} = W_i + Δ_i:

    L_i = Σ_{j=0}^{depth} μ^j (−log p_{i+1}(answers of group i−j) + c_loc KL(p_i ‖ p_{i+1}) on its unrelated questions)

∂L_i reaches the nets through Δ_i alone, as in MALMEN. The published code adds up these gradients, clipped as they grow,
and takes ONE step of Adam after a trajectory of 400 groups: `updates`. More of them, evenly spread, train more;
with none the nets stay the identity and only the moments are learnt. Its penalty |Δ|² has no gradient and is left out.

Written from the published code (zhrli324/RLEdit), without the paper's equation numbers; losses are means over edits
where the code sums over mini-batches, which clipping and Adam undo but for the weights of groups of unequal size. The
moments keep counting while editing, as there. The paper edits facts only; the negated statements of a run's second arm
are edited like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from editharness.method import Host
from editharness.types import Case
from editharness_plugins.methods.hypernetwork.learning import Learning, added, clipped
from editharness_plugins.methods.hypernetwork.lessons import lesson
from editharness_plugins.methods.hypernetwork.maps import masters
from editharness_plugins.methods.hypernetwork.outer import Pull, Weights, no_pull
from editharness_plugins.methods.malmen import Malmen
from editharness_plugins.methods.options.hypernetworks import RleditOptions

if TYPE_CHECKING:
    from torch import Tensor

    from editharness_plugins.methods.hypernetwork.nets import Nets

GROUPS, WEIGHT, GRADIENT = "groups", "weight.", "gradient."


class Rledit(Malmen[RleditOptions]):
    """RLEdit on the input projections of the upper MLPs."""

    def learn(self, host: Host, nets: Nets, cases: Sequence[Case], now: Learning) -> tuple[Learning, float]:
        """One group further along the trajectory; a step of Adam where one is due."""
        o, steps = self.options, self.steps(cases)
        chosen, now = self.next_cases(host, cases, now)
        fresh = now.done % (o.trajectory or steps) == 0
        before = masters(host.model, nets.maps) if fresh else _part(WEIGHT, now.extra)
        groups = chosen[None] if fresh else torch.cat([chosen[None], now.extra[GROUPS]])[: o.back_depth]
        given = lesson([cases[i] for i in chosen], o.outer, host.rng)
        moved = self.move(host, nets, now.learned, before, given)
        pull = self.reward(host, cases, groups, before, moved.weights)
        gradient = clipped(added(_part(GRADIENT, now.extra), self.gradient(nets, moved, pull)), o.clip)
        now = replace(now, learned=moved.learned)
        if (now.done + 1) * o.updates // steps > now.done * o.updates // steps:
            now, gradient = self.stepped(now, moved.learned, gradient), {}
        extra = {GROUPS: groups, **_named(WEIGHT, moved.weights), **_named(GRADIENT, gradient)}
        return replace(now, extra=extra), float(pull.loss)

    def reward(self, host: Host, cases: Sequence[Case], groups: Tensor, before: Weights, after: Weights) -> Pull:
        """The discounted loss of the latest groups, newest first, and its gradient in the weights after the action."""
        total = no_pull(after, host.device)
        for age, group in enumerate(groups):
            given = lesson([cases[i] for i in group], self.options.outer, host.rng)
            total = total.plus(self.pull(host, before, after, given), self.options.discount**age)
        return total

    def by_depth(self, layers: int) -> tuple[int, ...]:
        """The published settings' share: 22 to 30 of Llama-3's 32."""
        return tuple(range(round(layers * 22 / 32), max(round(layers * 22 / 32) + 1, round(layers * 31 / 32))))


def _named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _part(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
