"""The scores that a card tells: those of a record, of the same method on the same weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.errors import UsageError
from editharness.leaderboard.text import interval, percent, plain
from editharness.store import RunRecord, find_records, read_record

if TYPE_CHECKING:
    from editharness.export.provenance import Base


def read_scored(path: Path) -> RunRecord:
    """The record of --record; raises RecordError, or UsageError where there are several."""
    found = find_records([path])
    if len(found) != 1:
        raise UsageError(f"--record {path}: {len(found)} records stand below it; name the folder of one")
    return read_record(found[0])


def check_scored(record: RunRecord, method: str, base: Base | None = None) -> None:
    """Raise UsageError for a record of another method or, where the base is known, of another model."""
    if record.method.name != method:
        raise UsageError(f"--record {record.id}: is of method {record.method.name!r}, not {method!r}")
    if base is not None and record.model.digest_before != base.digest:
        raise UsageError(
            f"--record {record.id}: is of a model with weights {record.model.digest_before[:12]} "
            f"({record.model.dtype}), and {base.name!r} as loaded has {base.digest[:12]} ({base.dtype})"
        )


def scores(record: RunRecord) -> Iterator[str]:
    """Lines of Markdown: what was measured, and the method's row column by column."""
    row = next(row for row in record.rows if row.kind == "method")
    yield (
        f"Measured by editharness on {record.task} with {record.schedule.edits} edits of data set {record.data.name} "
        f"(schedule {record.schedule.asked}, seed {record.schedule.seed}), which need not be the facts above. "
        f"Values in %, 95 % intervals; record {plain(record.id)}, made by `{plain(record.command, 1000)}`."
    )
    yield ""
    yield from ("| column | value | interval | n | better |", "|---|---|---|---|---|")
    for cell in row.columns:
        what = plain(cell.name) if cell.title == cell.name else f"{plain(cell.name)}: {plain(cell.title)}"
        yield f"| {what} | {percent(cell.value)} | {interval(cell)} | {cell.n} | {cell.better} |"
