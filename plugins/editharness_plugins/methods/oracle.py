"""Oracle: what a real update of the model would score. A ceiling, not a method of a paper.

The remedy that arXiv 2510.00625 suggests: the fact is trained in all its forms, complementary negative statements
included, in wordings that no probe uses. MLPs of several layers are tuned by Adam on

    mean −log p(answer | form)  +  keep · mean KL(p_before ‖ p_now)

where the second mean is over all tokens of texts that must stay as they are: a statement about another subject per
edit, and the forms of the run's earlier edits. One form of every edit is held back; tuning stops when the loss on these
no longer falls, and the weights of the best look are taken. What it sees beyond other methods is in its spec's `sees`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from editharness.locate.batch import encodable
from editharness.method import Host, Method
from editharness.types import Edit, State, Status, Step
from editharness_plugins.methods.options.fine_tuning import OracleOptions
from editharness_plugins.methods.texts import pack_json, unpack_json
from editharness_plugins.methods.tuning import (
    Forward,
    Weights,
    answer_losses,
    copies,
    descend,
    finish,
    gained,
    parameters,
    running,
)

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.models.spans import Prompts

TOLD = "statements"
Statement = tuple[str, str]
"""A prompt and its answer."""


@dataclass(frozen=True)
class Lessons:
    """Rows to train on, rows held back (one per edit, in order), and texts that must stay as they are, if any."""

    trained: Prompts
    held: Prompts
    kept: Prompts | None


class Oracle(Method[OracleOptions]):
    """Fine-tuning on the facts in all their forms."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """All edits of the batch together; the state holds the statements of earlier batches."""
        usable, failed = encodable(host, [edit for edit in edits if edit.forms])
        failed |= {e.id: Status(e.id, "failed", "the case has no training wordings") for e in edits if not e.forms}
        if not usable:
            return Step(None, state, tuple(failed[edit.id] for edit in edits))
        earlier = [(str(prompt), str(answer)) for prompt, answer in unpack_json(state[TOLD])] if TOLD in state else []
        before = copies(host.model, self.parameters(host))
        after, losses, steps = self.tune(host, before, lessons(host, usable, earlier))
        told = [statement for edit in usable for statement in ((edit.prompt, edit.target), *edit.forms)]
        return finish(edits, usable, failed, gained(before, after), losses, steps, {TOLD: pack_json([*earlier, *told])})

    def tune(self, host: Host, before: Weights, lessons: Lessons) -> tuple[Weights, list[float], int]:
        """The weights with the least loss on what was held back, these losses, and the steps made."""
        o, weights = self.options, {name: weight.clone().requires_grad_() for name, weight in before.items()}
        optimiser = torch.optim.Adam(weights.values(), lr=o.lr)
        best, least, stale = before, self.held(host, before, lessons), 0
        for step in range(1, o.steps + 1):
            with torch.enable_grad():
                loss = self.loss(host, running(host.model, weights), lessons)
            descend(optimiser, weights.values(), loss)
            host.progress(step, o.steps, "steps")
            if step % o.check and step < o.steps:
                continue
            losses, stale = self.held(host, weights, lessons), stale + 1
            if sum(losses) < sum(least):
                best, least, stale = {name: weight.detach().clone() for name, weight in weights.items()}, losses, 0
            if stale == o.patience:
                break
        return best, least, step

    def loss(self, host: Host, forward: Forward, lessons: Lessons) -> Tensor:
        """The objective on a batch that is drawn anew for every step."""
        o = self.options
        loss = answer_losses(host, forward, draw(host, lessons.trained, o.batch_size)).mean()
        if o.keep and lessons.kept is not None:
            loss = loss + o.keep * divergence(host, forward, draw(host, lessons.kept, o.batch_size))
        return loss

    def held(self, host: Host, weights: Weights, lessons: Lessons) -> list[float]:
        """The loss on what was held back, per edit."""
        with torch.no_grad():
            losses: list[float] = answer_losses(host, running(host.model, weights), lessons.held).tolist()
        return losses

    def parameters(self, host: Host) -> list[str]:
        """All parameters of the MLPs of the tuned layers."""
        layers = self.options.layers or middle(host.modules.layers)
        return parameters(host.model, [host.modules.mlp(layer) for layer in layers])


def lessons(host: Host, edits: Sequence[Edit], earlier: Sequence[Statement]) -> Lessons:
    """Every edit's own statement and forms, one of the forms held back by lot; unrelated and earlier texts to keep."""
    trained, held = [], []
    for edit in edits:
        lot = int(torch.randint(len(edit.forms), (1,), generator=host.rng))
        held.append(edit.forms[lot])
        trained += [(edit.prompt, edit.target), *edit.forms[:lot], *edit.forms[lot + 1 :]]
    kept = [edit.unrelated_text for edit in edits if edit.unrelated_text]
    kept += [f"{prompt} {answer.strip()}" for prompt, answer in earlier]
    near = rows(host, [(text, "") for text in kept], targets=False) if kept else None
    return Lessons(rows(host, trained), rows(host, held), near)


def rows(host: Host, statements: Sequence[Statement], *, targets: bool = True) -> Prompts:
    """A row per statement; the whole prompt stands for the subject, which nothing here looks at."""
    edits = [Edit("statement", prompt, (0, len(prompt)), answer) for prompt, answer in statements]
    return host.encode(edits, targets=targets)


def draw(host: Host, among: Prompts, count: int) -> Prompts:
    """`count` of the rows, each at most once."""
    return among.select(torch.randperm(len(among), generator=host.rng)[:count])


def divergence(host: Host, forward: Forward, texts: Prompts) -> Tensor:
    """KL(p_before ‖ p_now) at every token of the texts, mean."""
    near = texts.to(host.device)
    inputs = {"input_ids": near.ids, "attention_mask": near.mask, "use_cache": False}
    with torch.no_grad():
        was = host.model(**inputs).logits[near.mask].float().log_softmax(dim=-1)
    now = forward(**inputs).logits[near.mask].float().log_softmax(dim=-1)
    apart: Tensor = (was.exp() * (was - now)).sum(dim=-1)
    return apart.mean()


def middle(layers: int) -> tuple[int, ...]:
    """Layers to tune where none are given: the middle half."""
    return tuple(range(layers // 4, max(layers // 4 + 1, round(layers * 3 / 4))))
