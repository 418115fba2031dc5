"""Columns of `negation_plus`, from answers to per-case values. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from editharness.protocol import Answers, Better, Column, Row
from editharness.scoring import begins
from editharness.types import Case
from editharness_plugins.protocols.complement_forms import AFFIRMED, DENIED, IN_MEAN, OLD_TASK, TASKS, YES, YES_NO
from editharness_plugins.protocols.negation import ASK, NEGATED, POSITIVE, UNEDITED_ROWS
from editharness_plugins.protocols.values import Values, difference, mean_of_own, only

PLAIN = {"P": ASK["prompt"], "N": ASK["negated"]}
ARMS = {"P": POSITIVE, "N": NEGATED}
FOUR = ("PP", "PN", "NN", "NP")
BETTER: Mapping[str, Better] = {"PP": "higher", "PN": "lower", "NN": "higher", "NP": "lower"}


class Source(NamedTuple):
    """Where one kind's numbers stand: task, what counts as said, whose log-probability and against whose."""

    task: str
    said: str
    mine: str = "logprob"
    other: str = "old_logprob"
    affirming: str = AFFIRMED
    denying: str = DENIED


@dataclass(frozen=True)
class Told:
    """One row's per-case values for one kind of pair."""

    affirmed: Values
    denied: Values
    contained: Values
    less_likely: Values
    prob_affirmed: Values
    prob_denied: Values


def _source(kind: str, row: Row) -> Source:
    """For `none*` the old answer takes the target's place; contrast and contradictory change places with it."""
    if kind == YES_NO:
        asked = (DENIED, AFFIRMED) if row == "none*" else (AFFIRMED, DENIED)
        return Source(TASKS[kind], YES, "logprob", "old_logprob", *asked)
    if row != "none*":
        return Source(TASKS[kind], "exact")
    return (
        Source(OLD_TASK, "exact") if kind == "contrast" else Source(TASKS[kind], "old_exact", "old_logprob", "logprob")
    )


def _place(row: Row) -> dict[str, Any]:
    return {"moment": "unedited"} if row in UNEDITED_ROWS else {"moment": "final", "arm": POSITIVE}


def known_facts(answers: Answers) -> frozenset[str]:
    """The facts whose old answer the unedited model gives to the plain prompt."""
    old = answers.scores(PLAIN["P"], "old_exact", moment="unedited")
    return frozenset(case for case, value in old.items() if value == 1.0)


def told_pairs(kind: str, row: Row, answers: Answers, known: Collection[str] | None) -> Told:
    """What a row says to the pairs of one kind; `known`: the cases that count, None: all."""
    source = _source(kind, row)

    def get(asked: str, score: str) -> dict[str, float]:
        return only(answers.scores(source.task, score, kind=asked, **_place(row)), known)

    likely, unlikely = get(source.affirming, source.mine), get(source.denying, source.mine)
    return Told(
        affirmed=get(source.affirming, source.said),
        denied=get(source.denying, source.said),
        contained={} if row == "none*" else get(source.denying, "contained"),
        less_likely=_greater(likely, unlikely),
        prob_affirmed=_greater(likely, get(source.affirming, source.other)),
        prob_denied=_greater(unlikely, get(source.denying, source.other)),
    )


def _greater(first: Values, second: Values) -> dict[str, float]:
    return {case: float(first[case] > second[case]) for case in first if case in second}


def overall_columns(told: Mapping[str, Told]) -> list[Column]:
    """Means over a case's kinds, without contradictory."""
    counted = [told[kind] for kind in IN_MEAN]
    gap = mean_of_own(difference(one.affirmed, one.denied) for one in counted)
    likelier = [mean_of_own(one.prob_affirmed for one in counted), mean_of_own(one.prob_denied for one in counted)]
    return [
        Column("complement gap", "affirmed - denied, all kinds", "higher", gap, proportion=False),
        Column(AFFIRMED, "target where it is affirmed", "higher", mean_of_own(one.affirmed for one in counted)),
        Column(DENIED, "target where it is denied", "lower", mean_of_own(one.denied for one in counted)),
        Column("contained", "target within 20 tokens, denied", "lower", mean_of_own(one.contained for one in counted)),
        Column("less likely", "when denied", "higher", mean_of_own(one.less_likely for one in counted)),
        Column(f"prob {AFFIRMED}", "new likelier than old, affirmed", "higher", likelier[0]),
        Column(f"prob {DENIED}", "new likelier than old, denied", "lower", likelier[1]),
        Column("prob gap", "their difference", "higher", difference(*likelier), proportion=False),
    ]


def kind_columns(told: Mapping[str, Told]) -> list[Column]:
    """Five columns per kind."""
    columns = []
    for kind, one in told.items():
        name, gap = kind.replace("_", " "), difference(one.affirmed, one.denied)
        likelier = difference(one.prob_affirmed, one.prob_denied)
        columns += [
            Column(f"{name} {AFFIRMED}", _title(kind, AFFIRMED), "higher", one.affirmed),
            Column(f"{name} {DENIED}", _title(kind, DENIED), "lower", one.denied),
            Column(f"{name} gap", f"{name} gap", "higher", gap, proportion=False),
            Column(f"{name} less likely", f"{name} less likely", "higher", one.less_likely),
            Column(f"{name} prob gap", f"{name} prob gap", "higher", likelier, proportion=False),
        ]
    return columns


def _title(kind: str, asked: str) -> str:
    return f"{YES if kind == YES_NO else 'target'} where {kind.replace('_', ' ')} {asked}"


def plain_columns(row: Row, answers: Answers, known: Collection[str] | None) -> list[Column]:
    """PP and PN, and the four by probability; for `none*` the old answer takes the target's place."""
    names = ("PP", "PN") if row in UNEDITED_ROWS else FOUR
    score = "old_exact" if row == "none*" else "exact"
    plain, negated = (only(_asked(name, row, answers, score), known) for name in ("PP", "PN"))
    likelier = {name: only(_likelier(name, row, answers), known) for name in names}
    return [
        Column("PP", "positive edit, asked plainly", "higher", plain),
        Column("PN", "positive edit, asked negated", "lower", negated),
        Column("PP-PN", 'the gap of "not"', "higher", difference(plain, negated), proportion=False),
        *(
            [Column("old PN", "the old answer, asked negated", "higher", _asked("PN", row, answers, "old_exact"))]
            if row != "none*"
            else []
        ),
        Column(
            "right type PN", "any answer of the relation, asked negated", "higher", only(_typed(row, answers), known)
        ),
        *(Column(f"prob {name}", "new likelier than old", BETTER[name], likelier[name]) for name in names),
        *(_shift(name, row, answers) for name in names if row != "none*"),
    ]


def _asked(name: str, row: Row, answers: Answers, score: str) -> dict[str, float]:
    """Scores of one of the four; the first letter is the edit, the second the question."""
    edit, asked = name[0], name[1]
    if row in UNEDITED_ROWS:
        return answers.scores(PLAIN[asked], score, moment="unedited")
    return answers.scores(PLAIN[asked], score, arm=ARMS[edit], moment="final")


def _typed(row: Row, answers: Answers) -> dict[str, float]:
    """Whether the text after the negated prompt begins with an answer of the case's relation, whichever it is."""
    of_relation = answers_by_relation(answers.cases.values())
    said = answers.of(PLAIN["N"], **_place(row))
    typed = {a.case: of_relation[answers.cases[a.case].relation] for a in said}
    return {a.case: float(begins(a.text, typed[a.case])) for a in said if a.text is not None and typed[a.case]}


def answers_by_relation(cases: Iterable[Case]) -> dict[str, frozenset[str]]:
    """Relation -> targets, old answers and neighbours' answers of its cases; none where the relation has no name."""
    found: dict[str, set[str]] = {"": set()}
    for case in cases:
        told = {case.target, case.old, *case.target_aliases, *(near.answer for near in case.neighbours)} - {""}
        found.setdefault(case.relation, set()).update(told if case.relation else ())
    return {relation: frozenset(told) for relation, told in found.items()}


def _likelier(name: str, row: Row, answers: Answers) -> dict[str, float]:
    new, old = _asked(name, row, answers, "logprob"), _asked(name, row, answers, "old_logprob")
    return _greater(old, new) if row == "none*" else _greater(new, old)


def _shift(name: str, row: Row, answers: Answers) -> Column:
    """How much more probable the target became; a difference of probabilities, which a column can hold."""
    before = answers.scores(PLAIN[name[1]], "logprob", moment="unedited")
    after = _asked(name, row, answers, "logprob")
    shift = {case: math.exp(after[case]) - math.exp(before[case]) for case in after if case in before}
    return Column(f"shift {name}", "p(target) edited - unedited", BETTER[name], shift, proportion=False)


def yes_no_columns(row: Row, answers: Answers, known: Collection[str] | None) -> list[Column]:
    """Contradictory pairs by likelihood, and how often the free answer cannot be read."""
    told = told_pairs(YES_NO, row, answers, known)
    read = only(answers.scores(TASKS[YES_NO], "read", **_place(row)), known)
    unread = {case: 1.0 - value for case, value in read.items()}
    return [
        Column(f"contradictory yes {AFFIRMED}", "yes likelier than no, yes is right", "higher", told.prob_affirmed),
        Column(f"contradictory yes {DENIED}", "yes likelier than no, no is right", "lower", told.prob_denied),
        Column("contradictory unread", "begins with neither yes nor no", "lower", unread),
    ]
