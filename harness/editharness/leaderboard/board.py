"""What a board is: runs that may be compared, with the control rows that nobody may remove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from editharness.store import RunRecord

if TYPE_CHECKING:
    from editharness.protocol import Better
    from editharness.stats import ColumnScore, SeriesScore

CONTROLS = ("none", "none*", "context", "constant", "echo", "target")
"""Rows of every board, in this order, run or not: unedited (asked for the new, the old answer), fact in the prompt,
and three answers that need no model. A metric that one of them wins is broken."""

FLOOR = ("none", "constant", "echo", "target")
"""A method that ranks below one of these has made things worse than doing nothing, and its row says so."""


class Entry(NamedTuple):
    """A record and the folder it stands in (None: not on disk, so no scores by case)."""

    record: RunRecord
    folder: Path | None = None


@dataclass(frozen=True, order=True)
class BoardKey:
    """Two runs share a board where all of this is equal; seeds and methods are what is left to differ."""

    task: str
    model: str
    model_revision: str
    model_digest: str
    data: str
    data_sha256: str
    protocol: str
    protocol_version: int
    protocol_hash: str
    schedule: str
    edits: int
    preset: str


@dataclass(frozen=True)
class Heading:
    """A column's name, what it means, which direction is better, and the n that most rows have."""

    name: str
    title: str
    better: Better
    n: int


@dataclass(frozen=True)
class BoardRow:
    """One row: a control, or a method with its seeds pooled. `rank` is a range, None for rows that are not ranked.

    A "claim" is what a paper reports; it stands only in the tables of leaderboard.beside, never on a board.
    """

    name: str
    kind: Literal["method", "control", "claim"]
    cells: Mapping[str, ColumnScore]
    badges: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    seconds_per_edit: float | None = None
    rank: tuple[int, int] | None = None
    tier: int = 0
    records: tuple[RunRecord, ...] = ()
    series: tuple[SeriesScore, ...] = ()

    def own_n(self, headings: Sequence[Heading]) -> int | None:
        """The n of all cells of this row, where it is one number and not the columns'."""
        told = {heading.name: heading.n for heading in headings}
        pairs = [(cell.n, told.get(name)) for name, cell in self.cells.items() if cell.n]
        return pairs[0][0] if len({n for n, _ in pairs}) == 1 and all(n != usual for n, usual in pairs) else None

    def value(self, column: str | None) -> float | None:
        """The score in a column, None where there is none."""
        cell = self.cells.get(column) if column else None
        return cell.value if cell else None


@dataclass(frozen=True)
class Board:
    """A table of comparable runs. `ranked_by` is the column that orders the methods."""

    key: BoardKey
    columns: tuple[Heading, ...]
    rows: tuple[BoardRow, ...]
    ranked_by: str | None
    notes: tuple[str, ...] = ()

    @property
    def methods(self) -> tuple[BoardRow, ...]:
        """The rows that are not controls."""
        return tuple(row for row in self.rows if row.kind == "method")

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds of the board."""
        return tuple(sorted({seed for row in self.rows for seed in row.seeds}))
