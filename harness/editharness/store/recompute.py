"""The numbers of a record, computed again from the scores by case beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from editharness.stats import ColumnScore, PointScore, summarise_values
from editharness.store.read import ByCase, Scores
from editharness.store.record import RunRecord


def not_so(record: RunRecord, scores: Scores) -> Iterator[tuple[str, str]]:
    """(place in the record, what is wrong there) of every number that these scores do not give."""
    for i, row in enumerate(record.rows):
        for j, column in enumerate(row.columns):
            found = scores.columns.get((row.row, column.name))
            if problem := _problem(column, found, scores.clusters):
                yield f"rows[{i}].columns[{j}]", f"row {row.row}, column {column.name}: {problem}"
        for j, series in enumerate(row.series):
            for k, point in enumerate(series.points):
                found = scores.points.get((row.row, series.name, point.edits, point.cohort))
                if problem := _problem(point, found, scores.clusters):
                    where = f"after {point.edits} edits" + (f", cohort {point.cohort}" if point.cohort else "")
                    place = f"rows[{i}].series[{j}].points[{k}]"
                    yield place, f"row {row.row}, series {series.name}, {where}: {problem}"


def _problem(said: ColumnScore | PointScore, found: ByCase | None, clusters: Mapping[str, str]) -> str:
    values, proportion = found or ({}, True)
    try:
        again = (*summarise_values(values, clusters, proportion=proportion), len(values))
    except ValueError as error:
        return f"{error} in scores.jsonl"
    names = ("value", "low", "high", "n")
    for name, there, here in zip(names, (said.value, said.low, said.high, said.n), again, strict=True):
        if not _same(there, here):
            return f"the record says {name} {_short(there)}, the scores give {_short(here)}"
    return ""


def _same(a: float | None, b: float | None) -> bool:
    return (a is None) == (b is None) and (a is None or b is None or math.isclose(a, b, abs_tol=1e-9))


def _short(number: float | None) -> str:
    return "none" if number is None else f"{number:.6g}"


def not_shown(record: RunRecord, scores: Scores) -> Sequence[str]:
    """What scores are kept of that the record does not show: "row method, column PP"."""
    columns = {(row.row, column.name) for row in record.rows for column in row.columns}
    points = {(r.row, s.name, p.edits, p.cohort) for r in record.rows for s in r.series for p in s.points}
    return [
        *(f"row {row}, column {name}" for row, name in scores.columns if (row, name) not in columns),
        *(f"row {key[0]}, series {key[1]}, after {key[2]} edits" for key in scores.points if key not in points),
    ]
