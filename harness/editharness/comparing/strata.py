"""One run's scores, apart by what marks a case: its relation or its tags, each with the cases that lack the mark.

A mean over all cases hides a share that is easy (the answer stands inside the subject) or that trained the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from editharness.comparing.side import Side
from editharness.stats import summarise_values
from editharness.types import Case

By = Literal["tag", "relation"]
Cell = tuple[float, float, float] | tuple[None, None, None]
"""Mean and the ends of its 95 % interval."""


@dataclass(frozen=True)
class Stratum:
    """One column of the run's row over the cases with a mark, and over those without it."""

    mark: str
    column: str
    with_it: Cell
    n_with: int
    without: Cell
    n_without: int


def strata(side: Side, cases: Mapping[str, Case], columns: tuple[str, ...], by: By = "tag") -> Iterator[Stratum]:
    """Every mark that some of the run's cases have and others lack, by column. What is not in `cases` has no mark."""
    marked: dict[str, set[str]] = {}
    for case in side.scores.clusters:
        for mark in _marks(cases[case], by) if case in cases else ():
            marked.setdefault(mark, set()).add(case)
    for mark, chosen in sorted(marked.items()):
        if chosen < set(side.scores.clusters):
            for column in columns:
                yield _stratum(side, mark, column, chosen)


def _marks(case: Case, by: By) -> frozenset[str]:
    return case.tags if by == "tag" else frozenset({case.relation} - {""})


def _stratum(side: Side, mark: str, column: str, chosen: set[str]) -> Stratum:
    values, proportion = side.values(column)
    parts = [{c: v for c, v in values.items() if (c in chosen) == inside} for inside in (True, False)]
    cells = [summarise_values(part, side.scores.clusters, proportion=proportion) for part in parts]
    return Stratum(mark, column, cells[0], len(parts[0]), cells[1], len(parts[1]))
