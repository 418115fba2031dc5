"""WILD, "without intervention, live decoding" (arXiv 2502.11177, sections 4 and 5): are edits seen where they are used?

Over the questions that the unedited model gets wrong (5.1): the question stands in a task's prompt (A.7), the model
answers freely, greedily, 50 new tokens at most, up to the first full stop, line break or end of text. `wild-em` is the
paper's exact match (6.4, as its code normalises); its judge is not here: judge the stored answers instead.

What it does not show: reach (five neighbours), and how an answer reads. An answer that goes on behind a right one
("Rome, the capital") fails exact match; `contains` beside it says how often.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from editharness.protocol import Answers, Column, Moment, Probe, Row
from editharness.types import Schedule
from editharness_plugins.protocols.questions_failed import (
    EDITED,
    SCREENED,
    OnFailures,
    Values,
    asked_as,
    lacking,
    where,
    within,
)

ASK = {"question": SCREENED, "paraphrase": "wild_{data}_paraphrase", "neighbour": "wild_{data}_neighbour"}
SOURCES = ("NQ", "TQA", "SQA")
_TAG = "source:"


class Wild(OnFailures):
    """Free answers to the edited questions, in a task's prompt and up to their natural stop."""

    name = "wild"
    version = 1
    ranked_by = "reliability"
    glossary: ClassVar[Mapping[str, str]] = {
        "reliability": "share of cases whose answer, up to its stop, equals the target or one of its aliases (alias "
        "match), both normalised as in SQuAD; arXiv 2502.11177, section 4. For none*: the old answer, over the cases "
        "where the unedited model gives it",
        "wild-em": "the same for the target alone: the paper's WILD-em; section 6.4",
        "contains": "share of cases whose answer holds the target or an alias as whole words, and neither the old "
        "answer nor a word that denies (not, no, never, neither, nor, none, cannot, without, n't); after A.4, "
        "without a judge",
        "F1": "harmonic mean of precision and recall of the answer's words, normalised as in SQuAD; best of target and "
        "aliases",
        "generalization": "mean over a case's paraphrases of exact match as in reliability; section 3",
        "unchanged": "mean over a case's neighbours of: the answer, up to its stop, is the unedited model's, character "
        "by character; the paper's locality, A.6",
        "correct": "mean over a case's neighbours of: the answer equals the neighbour's own, as in reliability",
        "reliability at edit": "reliability right after the batch that wrote the case, before later ones; only where "
        "edits carry on",
        **{f"reliability · {source}": f"reliability over the cases that come from {source}; A.1" for source in SOURCES},
    }

    def probes(self, schedule: Schedule, checkpoints: Sequence[int]) -> Sequence[Probe]:
        """Everything of the unedited model and at the end; the question also right after each edit that carries on."""
        both: tuple[Moment, ...] = ("unedited", "final")
        probes = [
            Probe(task, "" if moment == "unedited" else EDITED, moment) for task in ASK.values() for moment in both
        ]
        return [*probes, Probe(ASK["question"], EDITED, "at_edit")] if schedule.carry else probes

    def summarise(self, row: Row, answers: Answers) -> Sequence[Column]:
        """The columns of one row; one that no case of the data set can fill is left out."""
        right = "old_right" if row == "none*" else "right"
        reliability = answers.scores(ASK["question"], right, **where(row))
        general = answers.scores(ASK["paraphrase"], right, **where(row))
        if row == "none*":
            known = {case for case, value in reliability.items() if value == 1.0}
            reliability, general = within(reliability, known), within(general, known)
        columns = [Column("reliability", "exact match of target or alias", "higher", reliability)]
        if row != "none*":
            columns += _scores_beside(row, answers)
        if not lacking(answers, "paraphrases"):
            columns.append(Column("generalization", "paraphrases", "higher", general))
        if row != "none*":
            columns += _locality(row, answers)
        at_edit = answers.scores(ASK["question"], "right", arm=EDITED, moment="at_edit")
        if at_edit:
            columns.append(Column("reliability at edit", "reliability right after the edit", "higher", at_edit))
        return [*columns, *_by_source(reliability, answers)]

    def hashed(self) -> Mapping[str, Any]:
        """Prompt, stops, length, scorers, tasks."""
        return {**asked_as(), "tasks": ASK, "unchanged": "same text up to the stop"}


def _scores_beside(row: Row, answers: Answers) -> list[Column]:
    """Other scores of the same answers."""
    beside = (
        ("wild-em", "exact match of the target", "em"),
        ("contains", "target asserted within the answer", "contains"),
        ("F1", "token F1", "f1"),
    )
    return [
        Column(name, title, "higher", answers.scores(ASK["question"], score, **where(row)))
        for name, title, score in beside
    ]


def _locality(row: Row, answers: Answers) -> list[Column]:
    if lacking(answers, "neighbours"):
        return []
    correct = answers.scores(ASK["neighbour"], "right", **where(row))
    return [
        Column("unchanged", "neighbours answered as before", "higher", _unchanged(row, answers)),
        Column("correct", "neighbours answered rightly", "higher", correct),
    ]


def _unchanged(row: Row, answers: Answers) -> Values:
    before = {(a.case, a.item): a.text for a in answers.of(ASK["neighbour"], moment="unedited")}
    found: dict[str, list[float]] = {}
    for a in answers.of(ASK["neighbour"], **where(row)):
        if (a.case, a.item) in before and a.text is not None:
            same = a.text.strip() == str(before[a.case, a.item]).strip()
            found.setdefault(a.case, []).append(float(same))
    return {case: sum(values) / len(values) for case, values in found.items()}


def _by_source(reliability: Values, answers: Answers) -> list[Column]:
    """One column per source that the cases name (QAEdit: NQ, TQA, SQA)."""
    named = {tag.removeprefix(_TAG) for case in answers.cases.values() for tag in case.tags if tag.startswith(_TAG)}
    sources = sorted(named) if answers.cases else SOURCES
    return [
        Column(
            f"reliability · {source}",
            f"cases from {source}",
            "higher",
            within(reliability, (id for id, case in answers.cases.items() if f"{_TAG}{source}" in case.tags)),
        )
        for source in sources
    ]
