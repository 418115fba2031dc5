"""What an author of a protocol writes: which cases, which edits, which question is asked when, and the summary.

A protocol never runs anything. The runner takes its arms and probes, lets lm-eval ask every question at its place in
the timeline, and hands all answers back, joined by case, to `summarise`, a pure function.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from editharness.types import Case, Edit, Schedule

Moment = Literal["unedited", "at_edit", "checkpoint", "final"]
Better = Literal["higher", "lower", "neither"]
Row = str
"""A row of the board: "method", or a control: "none", "none*", "context", "constant", "echo", "target"."""


@dataclass(frozen=True)
class Probe:
    """Ask `task` of the cases of `arm` at `moment`. `task` is the lm-eval name with "{data}" for the data set."""

    task: str
    arm: str
    moment: Moment
    cohort: Literal["new", "sampled_earlier", "all", "stock"] = "all"


@dataclass(frozen=True)
class Answer:
    """One question's outcome: the numbers that the task's process_results gave, and the text where it generated one."""

    task: str
    arm: str
    moment: Moment
    case: str
    item: int
    scores: Mapping[str, float]
    text: str | None = None


@dataclass(frozen=True)
class Answers:
    """All answers of one row of the board, with the cases they belong to."""

    cases: Mapping[str, Case]
    answers: Sequence[Answer]

    def scores(
        self, task: str, score: str, *, arm: str | None = None, moment: Moment | None = None
    ) -> dict[str, float]:
        """Mean of `score` per case over the items that have it, for `task` (its name up to "_{data}" is enough)."""
        found: dict[str, list[float]] = {}
        for a in self.answers:
            if (
                a.task == task
                and (arm is None or a.arm == arm)
                and (moment is None or a.moment == moment)
                and score in a.scores
            ):
                found.setdefault(a.case, []).append(a.scores[score])
        return {case: sum(values) / len(values) for case, values in found.items()}


@dataclass(frozen=True)
class Column:
    """One column: per-case scores in [0, 1] (or differences in [-1, 1]); the board shows mean, interval and n.

    `proportion` columns lie in [0, 1] and get Wilson intervals (wider than need be where a case averages several
    answers); differences get a bootstrap over subjects.
    """

    name: str
    title: str
    better: Better
    values: Mapping[str, float]
    proportion: bool = True


@dataclass(frozen=True)
class Selection:
    """The cases a protocol can use and, counted by reason, those it leaves out."""

    cases: tuple[Case, ...]
    refused: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, int] = field(default_factory=dict)


class EvalProtocol:
    """Base of protocols. Override all four functions; `hashed` names what the numbers depend on.

    `glossary` gives every column that `summarise` may return its formula, by name; `editharness metrics` prints it.
    """

    name: str = ""
    version: int = 1
    controls: tuple[Row, ...] = ("none", "none*", "context", "constant", "echo", "target")
    glossary: ClassVar[Mapping[str, str]] = {}

    def select(self, cases: Iterable[Case]) -> Selection:
        """The cases that can be asked; made prompts (negations) are filled in here, and counted."""
        raise NotImplementedError

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """Sets of edits; each arm is one line of edited models."""
        raise NotImplementedError

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Which task is asked of which arm at which moment."""
        raise NotImplementedError

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """All answers of one row -> its columns. Pure."""
        raise NotImplementedError

    def hashed(self) -> Mapping[str, Any]:
        """Prompts, stops, lengths, scorer: everything that moves numbers."""
        return {}

    def digest(self) -> str:
        """Identity of the protocol in a record: sha256 over name, version and `hashed`."""
        text = json.dumps([self.name, self.version, self.hashed()], sort_keys=True, default=asdict)
        return hashlib.sha256(text.encode()).hexdigest()
