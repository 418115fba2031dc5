"""Oracle: what a real update of the model would score. A ceiling, not a method of a paper.

The remedy that arXiv 2510.00625 suggests: the fact is trained in all its forms, complementary negative statements
included, in wordings that no probe uses. MLPs are tuned by Adam, its rate falling to nothing, on

    mean −log p(answer | form)  +  keep · mean KL(p_unedited ‖ p_now)

The first mean is over forms of the batch's edits and of earlier ones, drawn more often while not yet learnt;
the second is over the answers, and what follows them, of statements that must stay: facts of the train split in the
same wordings.
One form of every edit is held back; the weights with the least loss on these are taken, and tuning stops when it no
longer falls. What it sees beyond other methods is in its spec: `sees` the forms, `trains` for the train split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from editharness.errors import MethodError
from editharness.locate.batch import encodable
from editharness.method import Host, Method
from editharness.seeing import forms
from editharness.types import Case, Edit, State, Status, Step
from editharness_plugins.methods.options.fine_tuning import OracleOptions
from editharness_plugins.methods.statements import (
    Statement,
    divergence,
    looked_at,
    readable,
    row_losses,
    rows,
    statements,
)
from editharness_plugins.methods.texts import pack_json
from editharness_plugins.methods.tuning import Forward, Weights, copies, descend, finish, gained, parameters, running

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.models.spans import Prompts

TOLD, KEPT = "statements", "kept"


@dataclass(frozen=True)
class Lessons:
    """Rows to train on, rows held back (one per edit, in order), and rows whose answers must stay, if any."""

    trained: Prompts
    held: Prompts
    kept: Prompts | None


class Oracle(Method[OracleOptions]):
    """Fine-tuning on the facts in all their forms."""

    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        """What must stay: statements of the train split, as true of the unedited model, by lot; raises MethodError."""
        told = [(case, forms(case, negated=True)) for case in train if case.old]
        if not told:
            raise MethodError("the oracle keeps facts of the train split: give at least 1 with its answer")
        found = [statement for case, said in told for statement in ((case.prompt, case.old), *said)]
        lot = torch.randperm(len(found), generator=host.rng)[: self.options.texts].tolist()
        return {KEPT: pack_json([found[i] for i in lot if readable(host, [found[i]])])}

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """All edits of the batch together; the state holds what is kept and the statements of earlier batches."""
        usable, failed = teachable(host, edits)
        if not usable:
            return Step(None, state, tuple(failed[edit.id] for edit in edits))
        earlier, kept = statements(state, TOLD), statements(state, KEPT)
        before = copies(host.model, self.parameters(host))
        after, losses, steps = self.tune(host, before, lessons(host, usable, earlier, kept))
        told = [statement for edit in usable for statement in ((edit.prompt, edit.target), *edit.forms)]
        kept_on = {**state, TOLD: pack_json([*earlier, *told])}
        return finish(edits, usable, failed, gained(before, after), losses, steps, kept_on)

    def tune(self, host: Host, before: Weights, lessons: Lessons) -> tuple[Weights, list[float], int]:
        """The weights with the least loss on what was held back, these losses, and the steps made."""
        o, weights = self.options, {name: weight.clone().requires_grad_() for name, weight in before.items()}
        optimiser = torch.optim.Adam(weights.values(), lr=o.lr)
        slope = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1 / o.steps, total_iters=max(1, o.steps - 1))
        unedited = running(host.model, {name: host.original(name) for name in before})
        hard = looked_at(host, before, lessons.trained)
        best, least, stale = before, looked_at(host, before, lessons.held), 0
        for step in range(1, o.steps + 1):
            descend(optimiser, weights.values(), self.loss(host, unedited, running(host.model, weights), lessons, hard))
            slope.step()
            host.progress(step, o.steps, "steps")
            if step % o.check and step < o.steps:
                continue
            losses, stale = looked_at(host, weights, lessons.held), stale + 1
            if losses.sum() < least.sum():
                best, least, stale = {name: weight.detach().clone() for name, weight in weights.items()}, losses, 0
            if stale == o.patience:
                break
        return best, least.tolist(), step

    @torch.enable_grad()
    def loss(self, host: Host, unedited: Forward, forward: Forward, lessons: Lessons, hard: Tensor) -> Tensor:
        """The objective on rows drawn anew; `hard` [trained rows], by which they are drawn, learns what they cost."""
        o = self.options
        wrong = hard.nan_to_num(1.0).clamp(o.floor, 1.0)
        drawn = torch.multinomial(wrong, min(o.batch_size, len(hard)), generator=host.rng)
        losses = row_losses(host, forward, lessons.trained.select(drawn))
        hard[drawn] = losses.detach().to(hard.device)
        if not o.keep or lessons.kept is None:
            return losses.mean()
        some = torch.randperm(len(lessons.kept), generator=host.rng)[: o.batch_size]
        return losses.mean() + o.keep * divergence(host, unedited, forward, lessons.kept.select(some))

    def parameters(self, host: Host) -> list[str]:
        """All parameters of the MLPs of the tuned layers."""
        layers = self.options.layers or middle(host.modules.layers)
        return parameters(host.model, [host.modules.mlp(layer) for layer in layers])


def teachable(host: Host, edits: Sequence[Edit]) -> tuple[list[Edit], dict[str, Status]]:
    """The edits that can be taught in their forms, and a failed status for each of the others."""
    placed, failed = encodable(host, edits)
    for edit in placed:
        if not edit.forms:
            failed[edit.id] = Status(edit.id, "failed", "the case has no training wordings")
        elif not readable(host, edit.forms):
            failed[edit.id] = Status(edit.id, "failed", "a training wording is empty or longer than the model reads")
    return [edit for edit in placed if edit.id not in failed], failed


def lessons(host: Host, edits: Sequence[Edit], earlier: Sequence[Statement], kept: Sequence[Statement]) -> Lessons:
    """Every edit's own statement and forms, one of the forms held back by lot; as many earlier statements, by lot."""
    trained, held = [], []
    for edit in edits:
        lot = int(torch.randint(len(edit.forms), (1,), generator=host.rng))
        held.append(edit.forms[lot])
        trained += [(edit.prompt, edit.target), *edit.forms[:lot], *edit.forms[lot + 1 :]]
    again = torch.randperm(len(earlier), generator=host.rng)[: len(trained)].tolist()
    trained += [earlier[i] for i in again]
    # with a stop behind, so that what follows the answer, its end above all, must stay as well
    ended = [(prompt, f"{answer}.") for prompt, answer in kept]
    return Lessons(rows(host, trained), rows(host, held), rows(host, ended) if kept else None)


def middle(layers: int) -> tuple[int, ...]:
    """Layers to tune where none are given: the middle half."""
    return tuple(range(layers // 4, max(layers // 4 + 1, round(layers * 3 / 4))))
