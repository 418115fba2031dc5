"""One side of a comparison: a record, one of its rows, and the scores by case behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from editharness.errors import RecordError, UnknownNameError
from editharness.store import RunRecord, Scores, find_records, read_record, read_scores


@dataclass(frozen=True)
class Side:
    """A row of a run. `path` is the record's file."""

    path: Path
    record: RunRecord
    scores: Scores
    row: str

    def values(self, column: str) -> tuple[Mapping[str, float], bool]:
        """Scores by case in a column, and whether it is a proportion."""
        return self.scores.columns.get((self.row, column), ({}, True))


def read_side(path: Path, row: str | None = None) -> Side:
    """The one run at `path` (its folder or record.json); `row`: a control instead of the method. RecordError."""
    found = find_records([path])
    if len(found) > 1:
        raise RecordError(f"{path}: {len(found)} records stand below it: name the folder of one")
    record = read_record(found[0])
    scores = read_scores(found[0].parent)
    if scores is None:
        raise RecordError(f"{found[0].parent}: scores.jsonl is missing, so cases cannot be paired")
    names = [one.row for one in record.rows]
    if row is not None and row not in names:
        raise UnknownNameError("row", row, names, hint=f"(in {found[0]})")
    methods = [one.row for one in record.rows if one.kind == "method"]
    return Side(found[0], record, scores, row or next(iter([*methods, record.method.name])))
