"""Does the model say the new answer, right after the edit and at the end?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from editharness.protocol import Answers, Column, EvalProtocol, Probe, Row, Selection
from editharness.types import Case, Edit, Schedule

TASK = "recall_{data}"


class Recall(EvalProtocol):
    """One arm, one question, one column."""

    name = "recall"
    version = 1
    glossary: ClassVar[Mapping[str, str]] = {
        "recall": "share of cases whose target's tokens are all the likeliest ones"
    }

    def select(self, cases: Iterable[Case]) -> Selection:
        """Every case."""
        return Selection(tuple(cases))

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """The edits as they are."""
        return {"edits": [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]}

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Once on the unedited model, once at the end."""
        return [Probe(TASK, "", "unedited"), Probe(TASK, "edits", "final")]

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The share of cases whose target is the greedy answer; `none*` is asked for the old one."""
        moment, arm = ("unedited", "") if row in ("none", "none*") else ("final", "edits")
        score = "old_exact" if row == "none*" else "exact"
        found = answers.scores(TASK, score, arm=arm, moment=moment)
        return [Column("recall", "says the new answer", "higher", found)]

    def hashed(self) -> Mapping[str, object]:
        """What moves the numbers."""
        return {"task": TASK, "scorer": "all target tokens greedy"}
