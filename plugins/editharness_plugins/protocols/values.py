"""Arithmetic over per-case values, shared by protocols: a value that does not exist for a case is never filled in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from editharness.protocol import Answers, Moment
from editharness.scoring import same_start

Values = Mapping[str, float]
"""Case -> score."""


def difference(first: Values, second: Values) -> dict[str, float]:
    """Per-case difference over the cases that have both."""
    return {case: first[case] - second[case] for case in first if case in second}


def mean_of_all(columns: Iterable[Values]) -> dict[str, float]:
    """Per-case mean over the columns that have values at all; a case counts where it has every one of them."""
    present = [column for column in columns if column]
    cases = set.intersection(*(set(column) for column in present)) if present else set()
    return {case: sum(column[case] for column in present) / len(present) for case in sorted(cases)}


def mean_of_own(columns: Iterable[Values]) -> dict[str, float]:
    """Per-case mean over the columns that the case has, however few."""
    found: dict[str, list[float]] = {}
    for column in columns:
        for case, value in column.items():
            found.setdefault(case, []).append(value)
    return {case: sum(values) / len(values) for case, values in sorted(found.items())}


def only(values: Values, cases: Collection[str] | None) -> dict[str, float]:
    """The values of these cases; None: of all."""
    return {case: value for case, value in values.items() if cases is None or case in cases}


def unchanged(answers: Answers, task: str, moment: Moment, arm: str | None = None) -> dict[str, float]:
    """Share of a case's neighbours whose first words (as many as the expected answer has) are the unedited ones."""
    near = [a for a in answers.of(task) if a.text is not None]
    before = {(a.case, a.item): a.text for a in near if a.moment == "unedited"}
    found: dict[str, list[float]] = {}
    for a in near:
        unedited = before.get((a.case, a.item))
        asked = a.moment == moment and (arm is None or a.arm == arm)
        if asked and unedited is not None and a.text is not None:
            expected = answers.cases[a.case].neighbours[a.item].answer
            found.setdefault(a.case, []).append(float(same_start(a.text, unedited, expected)))
    return {case: sum(values) / len(values) for case, values in found.items()}
