"""What a train case teaches: the edit, a rewording that must follow it, an unrelated question that must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import torch

from editharness.errors import EditError, MethodError
from editharness.types import Edit

if TYPE_CHECKING:
    from torch import Generator

    from editharness.method import Host
    from editharness.types import Case

T = TypeVar("T")

Outer = Literal["paraphrase", "prompt", "both"]
"""Where the edited model is asked for the new answer in training."""


@dataclass(frozen=True)
class Lesson:
    """Edits to write together, the wordings that must give their answers then, and questions to be left alone."""

    edits: tuple[Edit, ...]
    asked: tuple[Edit, ...]
    unrelated: tuple[Edit, ...]


def teachable(host: Host, train: Sequence[Case]) -> list[Case]:
    """The train cases whose edit can be encoded; raises MethodError where there is none."""
    if not train:
        raise MethodError("this method is trained before it edits: give train cases with --train")
    found = [case for case in train if _encodable(host, case)]
    if not found:
        raise MethodError(f"none of the {len(train)} train cases can be encoded")
    return found


def lesson(cases: Sequence[Case], outer: Outer, rng: Generator) -> Lesson:
    """One lesson: of every case one paraphrase and one neighbour, drawn anew each time.

    A case without paraphrases is asked in its prompt; one without neighbours leaves nothing alone.
    """
    asked, unrelated = [], []
    for case in cases:
        reworded = [_pick(case.paraphrases, rng)] if outer != "prompt" and case.paraphrases else []
        plain = [] if reworded and outer == "paraphrase" else [case.prompt]
        asked += [_line(case.id, prompt, case.target) for prompt in (*reworded, *plain)]
        if case.neighbours:
            question = _pick(case.neighbours, rng)
            unrelated.append(_line(case.id, question.prompt, question.answer))
    return Lesson(tuple(as_edit(case) for case in cases), tuple(asked), tuple(unrelated))


def as_edit(case: Case) -> Edit:
    """What the method would see of a train case, were it edited."""
    return Edit(case.id, case.prompt, case.subject, case.target)


def draw(order: torch.Tensor, count: int, size: int, rng: Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """The next `size` of `count` cases and the order that is left: shuffled anew when too few are left of it."""
    if len(order) < size:
        order = torch.randperm(count, generator=rng)
    return order[:size], order[size:]


def _pick(choices: Sequence[T], rng: Generator) -> T:
    return choices[int(torch.randint(len(choices), (), generator=rng))]


def _line(case: str, prompt: str, answer: str) -> Edit:
    # nothing here asks where the subject stands: the whole prompt takes its place
    return Edit(case, prompt, (0, len(prompt)), answer)


def _encodable(host: Host, case: Case) -> bool:
    try:
        host.encode([as_edit(case)])
    except EditError:
        return False
    return True
