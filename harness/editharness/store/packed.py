"""A record in the form that the index keeps: its JSON, the rows apart and without what every row repeats.

Only what was read and checked is packed; what comes back is equal to what went in.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from editharness.errors import RecordError
from editharness.stats import ColumnScore, PointScore, SeriesScore
from editharness.store.decode import decode
from editharness.store.record import RowScores, RunRecord


def pack(record: RunRecord) -> str:
    """The record as one line of JSON."""
    heads: dict[tuple[str, str, str], int] = {}
    rows = [
        [row.row, row.kind, [_column(column, heads) for column in row.columns], [_series(one) for one in row.series]]
        for row in record.rows
    ]
    raw = [replace(record, rows=()), list(heads), rows]
    return json.dumps(raw, default=vars, ensure_ascii=False, separators=(",", ":"))


def unpack(text: str) -> RunRecord:
    """The record that was packed; RecordError for anything else."""
    try:
        raw, heads, rows = json.loads(text)
        return replace(decode(raw), rows=tuple([_row(heads, *row) for row in rows]))
    except (ValueError, TypeError, IndexError, RecursionError):
        raise RecordError("not a packed record") from None


def _column(column: ColumnScore, heads: dict[tuple[str, str, str], int]) -> list[Any]:
    head = heads.setdefault((column.name, column.title, column.better), len(heads))
    return [head, column.value, column.low, column.high, column.n]


def _series(series: SeriesScore) -> list[Any]:
    points = [[p.edits, p.cohort, p.value, p.low, p.high, p.n] for p in series.points]
    return [series.name, series.title, series.better, series.unit, points]


def _row(heads: Sequence[Any], name: str, kind: Any, columns: Sequence[Any], series: Sequence[Any]) -> RowScores:
    return RowScores(
        name,
        kind,
        tuple([ColumnScore(*heads[head], *rest) for head, *rest in columns]),
        tuple(
            [
                SeriesScore(name, title, better, unit, tuple(map(_point, points)))
                for name, title, better, unit, points in series
            ]
        ),
    )


def _point(raw: Sequence[Any]) -> PointScore:
    edits, cohort, *rest = raw
    return PointScore(edits, None if cohort is None else (cohort[0], cohort[1]), *rest)
