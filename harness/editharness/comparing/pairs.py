"""Paired differences between two rows: every case is its own control, so most of what varies between cases cancels.

difference    mean over the common cases of b - a, with a 95 % bootstrap interval that draws whole subjects
McNemar       for proportions whose scores are 0 and 1: of the cases where just one of both is 1, is it as often a as
              b? Exact binomial test (McNemar 1947), two-sided; it takes cases as independent, which the interval
              does not
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from editharness.comparing.side import Side
from editharness.errors import RecordError, UnknownNameError
from editharness.stats import summarise_values

if TYPE_CHECKING:
    from editharness.protocol import Better

MUST_MATCH: Mapping[str, Callable[[Side], object]] = {
    "task": lambda s: s.record.task,
    "protocol": lambda s: (s.record.protocol.version, s.record.protocol.hash),
    "data": lambda s: s.record.data.sha256,
}
"""Without these alike, a column does not mean the same on both sides."""
ALLOWABLE: Mapping[str, Callable[[Side], object]] = {
    "model": lambda s: s.record.model.digest_before,
    "schedule": lambda s: s.record.schedule.asked,
    "edits": lambda s: s.record.schedule.edits,
    "cases": lambda s: sorted(s.scores.clusters),
}
"""What may be the question itself, and is then allowed to differ by name."""


@dataclass(frozen=True)
class Difference:
    """One column: means of both over their `n` common cases, b - a with its interval.

    `only_a`, `only_b`, `p`: McNemar's, of a proportion whose scores are 0 or 1. All None where no case is common.
    """

    name: str
    title: str
    better: Better
    n: int
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    only_a: int | None = None
    only_b: int | None = None
    p: float | None = None


@dataclass(frozen=True)
class Compared:
    """All columns that both rows have; `allowed` names what differs and was allowed to."""

    a: Side
    b: Side
    columns: tuple[Difference, ...]
    allowed: tuple[str, ...] = ()


def compare(a: Side, b: Side, allow: Collection[str] = ()) -> Compared:
    """Pair the cases of two rows; RecordError names the field in which the runs may not differ."""
    for name in allow:
        if name not in ALLOWABLE:
            raise UnknownNameError("field", name, ALLOWABLE, hint="(for --allow-different)")
    allowed = []
    for name, of in {**MUST_MATCH, **ALLOWABLE}.items():
        if of(a) != of(b):
            if name not in allow:
                raise RecordError(_refusal(name, of(a), of(b)))
            allowed.append(name)
    rows = [side.record.row(side.row) for side in (a, b)]
    columns = [{cell.name: cell for cell in row.columns} if row else {} for row in rows]
    made = (difference(name, cell.title, cell.better, a, b) for name, cell in columns[0].items() if name in columns[1])
    return Compared(a, b, tuple(made), tuple(allowed))


def difference(name: str, title: str, better: Better, a: Side, b: Side) -> Difference:
    """One column, over the cases that have a score on both sides."""
    (mine, proportion), (yours, _) = a.values(name), b.values(name)
    common = [case for case in mine if case in yours]
    gaps = {case: yours[case] - mine[case] for case in common}
    gap, low, high = summarise_values(gaps, a.scores.clusters, proportion=False)
    means = [sum(side[case] for case in common) / len(common) if common else None for side in (mine, yours)]
    told = Difference(name, title, better, len(common), means[0], means[1], gap, low, high)
    if not proportion or not common or not all(side[case] in (0, 1) for side in (mine, yours) for case in common):
        return told
    only_a, only_b = (sum(g == sign for g in gaps.values()) for sign in (-1, 1))
    return Difference(**{**vars(told), "only_a": only_a, "only_b": only_b, "p": mcnemar(only_a, only_b)})


def mcnemar(only_a: int, only_b: int) -> float:
    """The p-value of McNemar's exact test, two-sided; 1 where no case differs."""
    if only_a + only_b == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b, 0.5).pvalue)


def _refusal(name: str, a: object, b: object) -> str:
    told = f"{_short(a)} and {_short(b)}"
    if name in ALLOWABLE:
        return (
            f"not comparable: {name} differs ({told}); --allow-different {name} compares the common cases all the same"
        )
    return f"not comparable: {name} differs ({told})"


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)} cases"
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return text if len(text) <= 24 else f"{text[:21]}..."
