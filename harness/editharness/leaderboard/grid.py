"""Batch size x number of edits (figure 4 and table 13 of arXiv 2502.11177), from the boards of single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from editharness.errors import UnknownNameError
from editharness.leaderboard.board import Board, BoardKey, BoardRow, Heading
from editharness.leaderboard.tables import Cell, Line, SmallTable, cell_of
from editharness.leaderboard.text import arrow

_FIRST, _LAST = ("sequential", "single"), "all"


@dataclass(frozen=True)
class Grid:
    """One method's runs that differ in schedule and number of edits only; `cells`: (schedule, edits) -> its row."""

    key: BoardKey
    method: str
    column: Heading
    cells: Mapping[tuple[str, int], BoardRow]

    @property
    def schedules(self) -> list[str]:
        """The schedules, by batch size."""
        return sorted({schedule for schedule, _ in self.cells}, key=_size)

    @property
    def edits(self) -> list[int]:
        """The numbers of edits, in order."""
        return sorted({edits for _, edits in self.cells})


def grids(made: Sequence[Board], column: str | None = None) -> list[Grid]:
    """All grids of these boards, of the column by which they are ranked or of the named one.

    Raises UnknownNameError for a column that no board has.
    """
    known = {heading.name for board in made for heading in board.columns}
    if column is not None and column not in known:
        raise UnknownNameError("column", column, known, hint="(in --grid)")
    cells: dict[tuple[BoardKey, str, str], dict[tuple[str, int], BoardRow]] = {}
    headings: dict[tuple[BoardKey, str, str], Heading] = {}
    for board in made:
        name = column or board.ranked_by
        heading = next((heading for heading in board.columns if heading.name == name), None)
        for row in board.methods if heading is not None else ():
            same = (replace(board.key, schedule="", edits=0), row.name, str(name))
            cells.setdefault(same, {})[board.key.schedule, board.key.edits] = row
            headings.setdefault(same, heading or board.columns[0])
    return [Grid(same[0], same[1], headings[same], found) for same, found in sorted(cells.items(), key=_order)]


def grid_table(grid: Grid) -> SmallTable:
    """Rows: batch size; columns: edits; empty where nothing was run. What a row's badges warn of stands in a note."""
    rows: list[Line] = [
        [_named(schedule), *(_cell(grid, grid.cells.get((schedule, edits))) for edits in grid.edits)]
        for schedule in grid.schedules
    ]
    key, column = grid.key, grid.column
    about = f"{key.protocol} · data {key.data} · model {key.model}" + (f" · preset {key.preset}" if key.preset else "")
    meaning = f"{arrow(column)}, {column.title}; values in %, 95 % intervals; {about}"
    notes = [
        f"{_named(schedule)}, {edits} edits: {'; '.join(marks)}"
        for (schedule, edits), row in sorted(grid.cells.items(), key=lambda item: (_size(item[0][0]), item[0][1]))
        if (marks := [badge for badge in row.badges if badge.startswith(("collapsed", "partial", "ran as"))])
    ]
    return SmallTable(grid.method, meaning, ["batch size", *(f"{edits} edits" for edits in grid.edits)], rows, notes)


def grid_data(grid: Grid) -> dict[str, Any]:
    """A grid as JSON values."""
    cells = [
        {
            "schedule": schedule,
            "edits": edits,
            "score": row.cells.get(grid.column.name),
            "badges": row.badges,
            "runs": [record.id for record in row.records],
        }
        for (schedule, edits), row in sorted(grid.cells.items(), key=lambda item: (_size(item[0][0]), item[0][1]))
    ]
    return {"key": grid.key, "method": grid.method, "column": grid.column.name, "cells": cells}


def _order(item: tuple[tuple[BoardKey, str, str], Any]) -> tuple[BoardKey, str, str]:
    return item[0]


def _size(schedule: str) -> tuple[int, int, str]:
    """Schedules in order of their batch size; those that carry on and those that do not apart."""
    kind, _, size = schedule.partition(":")
    fresh = int(kind in ("single", "fresh"))
    if schedule in _FIRST:
        return fresh, 1, schedule
    return fresh, int(size) if size.isdigit() else 10**9, schedule


def _named(schedule: str) -> str:
    """ "batch:10" as "10"; schedules without a size, and those that do not carry on, keep their names."""
    kind, _, size = schedule.partition(":")
    return {"sequential": "1", _LAST: "all at once"}.get(schedule) or (size if kind == "batch" else schedule)


def _cell(grid: Grid, row: BoardRow | None) -> Cell:
    return Cell("") if row is None else cell_of(row.cells.get(grid.column.name))
