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
Cohort = Literal["all", "new", "sampled"]
"""Of whom a checkpoint asks: all cases written by then, those since the last checkpoint, a sample of every cohort."""
Row = str
"""A row of the board: "method", or a control: "none", "none*", "context", "constant", "echo", "target"."""


@dataclass(frozen=True)
class Probe:
    """Ask `task` of the cases of `arm` at `moment`. `task` is the lm-eval name with "{data}" for the data set."""

    task: str
    arm: str
    moment: Moment
    cohort: Cohort = "all"


@dataclass(frozen=True)
class Answer:
    """One question's outcome: the numbers that the task's process_results gave, and the text where it generated one.

    `edits`: how many facts were written when it was asked. `kind`: which of a form's questions it answers.
    `forced`: the likeliest token at each place of the expected answer (teacher forcing), where the model tells them.
    """

    task: str
    arm: str
    moment: Moment
    case: str
    item: int
    scores: Mapping[str, float]
    text: str | None = None
    edits: int = 0
    kind: str = ""
    forced: tuple[int, ...] = ()


@dataclass(frozen=True)
class Answers:
    """All answers of one row of the board, with the cases they belong to; `written`: each case's place, from 1."""

    cases: Mapping[str, Case]
    answers: Sequence[Answer]
    written: Mapping[str, int] = field(default_factory=dict)

    def of(
        self, task: str, *, arm: str | None = None, moment: Moment | None = None, kind: str | None = None,
        edits: int | None = None,
    ) -> list[Answer]:  # fmt: skip
        """The answers to `task` (its name with "{data}") at an arm, moment, kind, number of edits; None: any."""
        return [
            a
            for a in self.answers
            if a.task == task
            and (arm is None or a.arm == arm)
            and (moment is None or a.moment == moment)
            and (kind is None or a.kind == kind)
            and (edits is None or a.edits == edits)
        ]

    def scores(
        self, task: str, score: str, *, arm: str | None = None, moment: Moment | None = None, kind: str | None = None,
        edits: int | None = None,
    ) -> dict[str, float]:  # fmt: skip
        """Mean of `score` per case over the items that have it, of the answers that `of` gives."""
        found: dict[str, list[float]] = {}
        for a in self.of(task, arm=arm, moment=moment, kind=kind, edits=edits):
            if score in a.scores:
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
class Point:
    """Scores by case after `edits` written facts; `cohort`: places (first, last, from 1) of the facts it is about.

    `cohort` None: of all that the series asks.
    """

    edits: int
    cohort: tuple[int, int] | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class Series:
    """A quantity over the number of edits: a line, or, where its points have cohorts, a matrix.

    `unit` "%": values are shares (`proportion`: in [0, 1], Wilson intervals); any other unit is shown as it is.
    """

    name: str
    title: str
    better: Better
    points: Sequence[Point]
    proportion: bool = True
    unit: str = "%"


@dataclass(frozen=True)
class Selection:
    """The cases a protocol can use and, counted by reason, those it leaves out."""

    cases: tuple[Case, ...]
    refused: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, int] = field(default_factory=dict)


class EvalProtocol:
    """Base of protocols. Override all four functions; `hashed` names what the numbers depend on.

    `glossary` gives every column that `summarise` may return its formula, by name; `editharness metrics` prints it.
    `ranked_by` is the column that orders a board. `says` are further null rows: what each says to any question.
    `glossary` gives every column that `summarise` may return its formula, by name; `editharness metrics` prints it.
    """

    name: str = ""
    version: int = 1
    controls: tuple[Row, ...] = ("none", "none*", "context", "constant", "echo", "target")
    ranked_by: str = ""
    says: ClassVar[Mapping[Row, str]] = {}
    glossary: ClassVar[Mapping[str, str]] = {}

    def screening(self) -> Sequence[str]:
        """Tasks (with "{data}") that the unedited model is asked before cases are chosen; none: no `screen`."""
        return ()

    def screen(self, cases: Sequence[Case], unedited: Answers) -> Selection:
        """Those of the selected cases that stay, now that the unedited model has answered `screening` about them."""
        return Selection(tuple(cases))

    def select(self, cases: Iterable[Case]) -> Selection:
        """The cases that can be asked; made prompts (negations) are filled in here, and counted."""
        raise NotImplementedError

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """Sets of edits; each arm is one line of edited models."""
        raise NotImplementedError

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Which task is asked of which arm at which moment; `checkpoints` are numbers of edits, in order."""
        raise NotImplementedError

    def checkpoints(self, ends: Sequence[int]) -> Sequence[int]:
        """Where to ask if the user names no checkpoints; `ends`: numbers of edits at which batches end, in order."""
        return ()

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """All answers of one row -> its columns. Pure."""
        raise NotImplementedError

    def series(self, row: Row, answers: Answers) -> Sequence[Series]:
        """All answers of one row -> what is shown over the number of edits. Pure."""
        return ()

    def hashed(self) -> Mapping[str, Any]:
        """Prompts, stops, lengths, scorer: everything that moves numbers."""
        return {}

    def digest(self) -> str:
        """Identity of the protocol in a record: sha256 over name, version and `hashed`."""
        text = json.dumps([self.name, self.version, self.hashed()], sort_keys=True, default=asdict)
        return hashlib.sha256(text.encode()).hexdigest()
