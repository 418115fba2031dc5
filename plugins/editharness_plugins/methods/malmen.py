"""MALMEN: massive editing through meta learning (Tan, Zhang and Fu, ICLR 2024).

A net gives every answer token of every edit the shift of its output that it would like; one ridge regression per weight
makes the change that comes closest to all of them, with K [N, d_in] and V [N, d_out] over the tokens of the batch:

    v_t = −η ⟨k_t, k̃_t⟩ g̃_t,     [k̃_t; g̃_t] = net(norm([k_t; g_t])),     Δᵀ = (KᵀK + λ I)⁻¹ KᵀV

η and λ are learnt per weight. Training is decoupled: the language model gives ∂L/∂Δ, the regression's own
gradient leads from there to V and λ, and only then is the net differentiated. L is −log p(answer | rewording) and
KL(p ‖ p_edited) at the answers of unrelated questions.

Written from the published code (ChenmienTan/malmen), without the paper's equation numbers. Otherwise than there: exact
population moments (there one token in a batch makes them NaN for good); factors of each edit's own loss, so that they
do not depend on the edits beside it; fp32 masters and an exact undo; the smaller of the two linear systems. The moments
keep counting while editing, as there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch

from editharness.locate.gradients import Factors
from editharness.method import Host
from editharness.models.modules import to_math
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
from editharness_plugins.methods.hypernetwork.maps import Change, Edited, changed, masters, matrix
from editharness_plugins.methods.hypernetwork.nets import Nets, malmen_block
from editharness_plugins.methods.hypernetwork.outer import Pull, Weights
from editharness_plugins.methods.hypernetwork.ridge import ridge_change, ridge_gradient
from editharness_plugins.methods.options.hypernetworks import MalmenOptions

if TYPE_CHECKING:
    from torch import Tensor

    from editharness_plugins.methods.hypernetwork.maps import Map


M = TypeVar("M", bound=MalmenOptions)


@dataclass(frozen=True)
class Moved:
    """A group of edits as written in training: factors and changes, the moments and the weights after it."""

    factors: Mapping[str, Factors]
    changes: Sequence[Change]
    learned: Learned
    weights: Weights


class Malmen(Hypernetwork[M]):
    """MALMEN on the down projections of the upper blocks."""

    keeps_counting = True

    @property
    def every_token(self) -> bool:
        """At answers, or everywhere."""
        return self.options.tokens == "all"

    def nets(self, maps: Sequence[Map]) -> Nets:
        """One net per shape."""
        return Nets(maps, self.options.blocks, self.options.rank, malmen_block)

    def fresh(self, host: Host, nets: Nets) -> dict[str, Tensor]:
        """Identity nets, the step sizes η and the ridges log λ."""
        scale = nets.per_map("scale", self.options.scale, host.device)
        ridge = nets.per_map("log_ridge", math.log(self.options.ridge), host.device)
        return {**nets.fresh(host.rng, host.device), **scale, **ridge}

    def learn(self, host: Host, nets: Nets, cases: Sequence[Case], now: Learning) -> tuple[Learning, float]:
        """One step of Adam on one group of edits, written into the unedited weights."""
        chosen, now = self.next_cases(host, cases, now)
        given = lesson([cases[i] for i in chosen], self.options.outer, host.rng)
        before = masters(host.model, nets.maps)
        moved = self.move(host, nets, now.learned, before, given)
        pull = self.pull(host, before, moved.weights, given)
        return self.stepped(now, moved.learned, self.gradient(nets, moved, pull)), float(pull.loss)

    def move(self, host: Host, nets: Nets, learned: Learned, before: Weights, given: Lesson) -> Moved:
        """Write a group into the weights `before`; nothing here keeps a graph."""
        found = self.factors(host, Edited(host.model, before), nets.maps, given.edits).factors
        learned = self.counted(learned, nets.maps, found)
        with torch.no_grad():
            changes = [self.change(nets, learned, one, found[one.module]) for one in nets.maps]
        return Moved(found, changes, learned, changed(before, nets.maps, changes))

    def gradient(self, nets: Nets, moved: Moved, pull: Pull) -> Numbers:
        """From ∂L/∂Δ through each regression to its V and log λ, and from V through the nets in parts."""
        gradient: Numbers = {}
        variable = leaves(moved.learned)
        for one, change in zip(nets.maps, moved.changes, strict=True):
            factors, ridge = moved.factors[one.module], variable.numbers[f"{one.shape}.log_ridge"]
            wanted = to_math(pull.gradient[one.weight], one.transposed)
            to_shifts, to_ridge = ridge_gradient(factors.keys, matrix(change), ridge.detach()[one.index], wanted)
            gradient = added(gradient, gradient_of([ridge[one.index]], [to_ridge], variable.numbers))
            for rows in _parts(len(factors.keys), self.options.net_tokens):
                with torch.enable_grad():
                    shifts = self.shifts(nets, variable, one, factors, rows)
                gradient = added(gradient, gradient_of([shifts], [to_shifts[rows]], variable.numbers))
        return gradient

    def stepped(self, now: Learning, learned: Learned, gradient: Numbers) -> Learning:
        """After one step of Adam along a gradient."""
        lr = dict.fromkeys(learned.numbers, self.options.lr)
        numbers, adam = now.adam.step(learned.numbers, clipped(gradient, self.options.clip), lr)
        return replace(now, learned=replace(learned, numbers=numbers), adam=adam)

    def change(self, nets: Nets, learned: Learned, one: Map, factors: Factors) -> Change:
        """The ridge regression of the shifts on the keys."""
        parts = _parts(len(factors.keys), self.options.net_tokens)
        shifts = torch.cat([self.shifts(nets, learned, one, factors, rows) for rows in parts])
        return ridge_change(factors.keys, shifts, learned.numbers[f"{one.shape}.log_ridge"][one.index])

    def shifts(self, nets: Nets, learned: Learned, one: Map, factors: Factors, rows: slice) -> Tensor:
        """V [rows, d_out] of some tokens: raw key times pseudo key, along the pseudo gradient."""
        z = learned.moments[one.shape].normalise(joined(factors)[rows])
        keys, gradients = nets.pseudo(learned.numbers, one, z)
        likeness = (factors.keys[rows] * keys).sum(dim=1, keepdim=True)
        return -learned.numbers[f"{one.shape}.scale"][one.index] * likeness * gradients

    def by_depth(self, layers: int) -> tuple[int, ...]:
        """The published settings' share: the last 6 of GPT-J's 28."""
        return tuple(range(layers - max(1, round(layers * 6 / 28)), layers))


def _parts(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]
