"""What an author of a judge writes: one function from (question, gold answer, given answer) to verdicts.

class Strict(Judge[None]):
    def verdicts(self, items): return [Verdict("correct" if i.given == i.gold else "incorrect") for i in items]

A judge never falls back on another scorer: what it cannot decide, or cannot read, is "unscored" with the reason.
A judge that measures rather than decides sets `graded` and gives Verdict("graded", score=...), score in [0, 1].
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar, get_args

Label = Literal["correct", "incorrect", "graded", "unscored"]
LABELS: tuple[Label, ...] = get_args(Label)
O_co = TypeVar("O_co", covariant=True)


@dataclass(frozen=True)
class Item:
    """One answer to be judged.

    `question` is what the model was asked (a question, or a text to be continued), `gold` the expected answer,
    `rivals` other answers known to be wrong here (the old one, after an edit). `given` is untrusted text.
    """

    question: str
    gold: str
    given: str
    aliases: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The item's identity: sha256 over all its texts."""
        parts = [self.question, self.gold, self.given, self.aliases, self.rivals]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def answers(self) -> tuple[str, ...]:
        """The gold answer and its aliases."""
        return (self.gold, *self.aliases)


@dataclass(frozen=True)
class Verdict:
    """A judge's word on one item; `reason` in a few words, `raw` what a model replied or scored, as evidence.

    `score`, in [0, 1], is there for the label "graded" and no other.
    """

    label: Label
    reason: str = ""
    raw: str = ""
    score: float | None = None

    def fits(self, *, graded: bool) -> bool:
        """Whether a judge of this kind may say so."""
        if self.label == "graded":
            return graded and self.score is not None and 0 <= self.score <= 1
        return self.score is None and self.label in (("unscored",) if graded else LABELS)


class Judge(Generic[O_co]):
    """Base of judges. Override `verdicts`; the rest has defaults.

    `version` is bumped when the same options give other verdicts. `kept`: verdicts are worth keeping on disk.
    `at_once`: how many items one call gets at most, so that progress shows and an interruption loses little.
    `graded`: verdicts are scores in [0, 1], shown as a mean and never beside shares of correct answers.
    """

    version: int = 1
    kept: bool = True
    at_once: int = 256
    graded: bool = False

    def __init__(self, options: O_co) -> None:
        self.options = options

    def ready(self) -> None:
        """Raise JudgeError, in one line, for whatever is known to be wrong before the first item is judged."""

    def verdicts(self, items: Sequence[Item]) -> Sequence[Verdict]:
        """One verdict per item, in order. Called with distinct items."""
        raise NotImplementedError

    def identity(self) -> Mapping[str, Any]:
        """What verdicts depend on, for the cache and the record: options, prompt, weights. Never a secret."""
        return asdict(self.options) if is_dataclass(self.options) and not isinstance(self.options, type) else {}
