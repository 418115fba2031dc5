"""The method that MEND, MALMEN and RLEdit derive from: train step by step, then edit with what was learnt."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import torch

from editharness.errors import MethodError
from editharness.locate.batch import encodable, in_storage
from editharness.locate.gradients import token_gradients
from editharness.method import Host, Method
from editharness.patch import WeightPatch
from editharness.patch.values import tensors
from editharness.types import Case, Edit, State, Status, Step
from editharness_plugins.methods.hypernetwork.learning import Learned, Learning
from editharness_plugins.methods.hypernetwork.lessons import Lesson, draw, teachable
from editharness_plugins.methods.hypernetwork.maps import Change, Map, compact, find_maps
from editharness_plugins.methods.hypernetwork.nets import Nets
from editharness_plugins.methods.hypernetwork.outer import Pull, Weights, answer_pull, no_pull, unrelated_pull
from editharness_plugins.methods.options.hypernetworks import HypernetworkOptions

if TYPE_CHECKING:
    from editharness.locate.gradients import Factors, TokenGradients

OptionsT = TypeVar("OptionsT", bound=HypernetworkOptions)


class Hypernetwork(Method[OptionsT]):
    """Trained by `prepare`; `edit` turns one backward pass over the edits into one change per edited weight."""

    keeps_counting = False
    """Whether the factors of the edits themselves count into the moments that normalise them."""

    @property
    def every_token(self) -> bool:
        """Whether factors are taken at all tokens, or where a token of the answer is predicted."""
        return False

    @abstractmethod
    def nets(self, maps: Sequence[Map]) -> Nets:
        """The nets of the edited maps."""

    @abstractmethod
    def fresh(self, host: Host, nets: Nets) -> dict[str, torch.Tensor]:
        """The numbers that training starts from."""

    @abstractmethod
    def learn(self, host: Host, nets: Nets, cases: Sequence[Case], now: Learning) -> tuple[Learning, float]:
        """One step of training on these cases, and its loss."""

    @abstractmethod
    def change(self, nets: Nets, learned: Learned, one: Map, factors: Factors) -> Change:
        """Δ [d_out, d_in] of one map from the factors of its tokens."""

    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        """Train on lessons from the train split; all of it is kept every `keep_every` steps."""
        cases, nets = teachable(host, train), self.nets(self.maps(host))
        kept = host.resume()
        if kept is None:
            now = Learning(Learned(self.fresh(host, nets), {}))
        else:
            now = Learning.from_state(kept, host.rng, host.device)
        while now.done < self.steps(cases):
            now = self.advance(host, nets, cases, now)
            if now.done % self.options.keep_every == 0:
                host.keep(now.to_state(host.rng))
        return now.learned.to_state()

    def advance(self, host: Host, nets: Nets, cases: Sequence[Case], now: Learning) -> Learning:
        """One step on the next cases; raises MethodError where its loss is no number."""
        now, loss = self.learn(host, nets, cases, now)
        if not math.isfinite(loss):
            raise MethodError(f"training left the numbers at step {now.done + 1}: lower lr")
        host.progress(now.done + 1, self.steps(cases), f"training steps (loss {loss:.3f})")
        return replace(now, done=now.done + 1)

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """One backward pass, one change per map; a change that is no number fails the batch and is not written."""
        learned = Learned.from_state(state, host.device)
        usable, failed = encodable(host, edits)
        if not usable:
            return Step(None, state, tuple(failed[edit.id] for edit in edits))
        nets = self.nets(self.maps(host))
        found = self.factors(host, host.model, nets.maps, usable)
        learned = self.counted(learned, nets.maps, found.factors) if self.keeps_counting else learned
        with torch.no_grad():
            changes = {one: compact(self.change(nets, learned, one, found.factors[one.module])) for one in nets.maps}
        patch = WeightPatch({one.weight: in_storage(change, one.transposed) for one, change in changes.items()})
        if not all(bool(tensor.isfinite().all()) for tensor in tensors(patch)):
            made = {edit.id: Status(edit.id, "failed", "the change is not a number") for edit in usable}
            return Step(None, state, tuple({**made, **failed}[edit.id] for edit in edits))
        losses = found.losses.tolist()
        made = {e.id: Status(e.id, "done", facts={"loss_before": x}) for e, x in zip(usable, losses, strict=True)}
        return Step(patch, learned.to_state(), tuple({**made, **failed}[edit.id] for edit in edits))

    def factors(self, host: Host, model: torch.nn.Module, maps: Sequence[Map], edits: Sequence[Edit]) -> TokenGradients:
        """Keys and gradients of each edit's own loss, whatever edits stand beside it."""
        prompts = host.encode(edits)
        tokens = prompts.mask if self.every_token else None
        names, head = [one.module for one in maps], host.modules.head
        return token_gradients(model, head, names, prompts, tokens, budget=self.options.row_tokens)

    def counted(self, learned: Learned, maps: Sequence[Map], factors: Mapping[str, Factors]) -> Learned:
        """With these factors counted into the moments of their shapes."""
        for one in maps:
            learned = learned.seen(one.shape, joined(self.live(factors[one.module])))
        return learned

    def live(self, factors: Factors) -> Factors:
        """The tokens that take part."""
        return factors

    def pull(self, host: Host, before: Weights, after: Weights, given: Lesson) -> Pull:
        """The weighted losses of a lesson under the weights `after` an edit, and their gradient in them."""
        o = self.options
        edit = answer_pull(host, after, host.encode(given.asked), o.row_tokens)
        total = no_pull(after, host.device).plus(edit, o.edit_weight)
        if not given.unrelated or o.loc_weight == 0:
            return total
        asked = host.encode(given.unrelated)
        return total.plus(
            unrelated_pull(host, before, after, asked, o.row_tokens, every=self.every_token), o.loc_weight
        )

    def steps(self, cases: Sequence[Case]) -> int:
        """How many training steps there are."""
        chosen = self.options.steps
        return math.ceil(len(cases) / self.options.edits) if chosen is None else chosen

    def next_cases(self, host: Host, cases: Sequence[Case], now: Learning) -> tuple[torch.Tensor, Learning]:
        """Indices of the cases of the next lesson."""
        chosen, order = draw(now.order, len(cases), min(self.options.edits, len(cases)), host.rng)
        return chosen, replace(now, order=order)

    def maps(self, host: Host) -> tuple[Map, ...]:
        """The edited maps."""
        return find_maps(host, self.layers(host), self.options.projections)

    def layers(self, host: Host) -> tuple[int, ...]:
        """The edited layers."""
        return self.options.layers or self.by_depth(host.modules.layers)

    def by_depth(self, layers: int) -> tuple[int, ...]:
        """The layers where nobody has said which: the last three."""
        return tuple(range(max(0, layers - 3), layers))


def joined(factors: Factors) -> torch.Tensor:
    """[k; g] by token [N, d_in + d_out]."""
    return torch.cat([factors.keys, factors.gradients], dim=1)
