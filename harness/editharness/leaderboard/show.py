"""Records on disk as text: a table, Markdown or JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.cache import cache_folder
from editharness.leaderboard.beside import as_data, beside
from editharness.leaderboard.board import Board, BoardRow, Entry
from editharness.leaderboard.claims import Claim
from editharness.leaderboard.grid import Grid, grid_data, grid_table, grids
from editharness.leaderboard.rows import boards
from editharness.store.index import Index, opened
from editharness.store.portable import portable

if TYPE_CHECKING:
    from rich.console import Console

_FILE_WIDTH = 120


def load(paths: Sequence[Path]) -> list[Entry]:
    """All records below `paths`, each with its folder; RecordError for the first that cannot be read."""
    with opened(cache_folder()) as index:
        return _entries(paths, index)


def load_boards(paths: Sequence[Path]) -> list[Board]:
    """The boards of all records below `paths`; what an index has seen before is not read again."""
    with opened(cache_folder()) as index:
        return boards(_entries(paths, index), index)


def _entries(paths: Sequence[Path], index: Index) -> list[Entry]:
    return [Entry(record, path.parent) for path, record in index.records(paths)]


def show_records(
    paths: Sequence[Path],
    form: str = "table",
    command: str = "editharness leaderboard",
    claims: Sequence[Claim] | None = None,
    *,
    series: bool | None = False,
) -> None:
    """Print the boards of all records below `paths` as "table" (fits the terminal), "json" or "markdown".

    With `claims`, what papers report stands below each board. `series`: also what its runs measured over the number of
    edits (JSON always has it); None: where that makes curves.
    """
    made = load_boards(paths)
    if form != "table":
        sys.stdout.write(as_text(made, form, command, claims, series=series))
        return
    from rich.console import Console

    from editharness.leaderboard.terminal import show_boards

    show_boards(made, Console(), claims, series=series)


def show_grids(
    paths: Sequence[Path], form: str = "table", command: str = "editharness leaderboard", column: str | None = None
) -> None:
    """Print batch size x number of edits, one table per method, of the ranked column or the named one."""
    found = grids(load_boards(paths), column)
    if form != "table":
        sys.stdout.write(grids_as_text(found, form, command))
        return
    from rich.console import Console

    from editharness.leaderboard.terminal import show_tables

    show_tables(map(grid_table, found), Console())


def grids_as_text(found: Sequence[Grid], form: str, command: str) -> str:
    """Grids as the content of a file."""
    if form == "json":
        return json.dumps(portable([grid_data(grid) for grid in found]), indent=2, ensure_ascii=False) + "\n"
    if form == "markdown":
        from editharness.leaderboard.markdown import render_tables

        return render_tables([grid_table(grid) for grid in found], command)
    from editharness.leaderboard.terminal import show_tables

    return _captured(lambda console: show_tables(map(grid_table, found), console))


def as_text(
    made: Sequence[Board], form: str, command: str, claims: Sequence[Claim] | None = None, *,
    series: bool | None = False,
) -> str:  # fmt: skip
    """Boards as the content of a file; `command` makes it again and stands in Markdown's first line."""
    if form == "json":
        return json.dumps(portable([_board(board, claims) for board in made]), indent=2, ensure_ascii=False) + "\n"
    if form == "markdown":
        from editharness.leaderboard.markdown import render

        return render(made, command, claims, series=series)
    from editharness.leaderboard.terminal import show_boards

    return _captured(lambda console: show_boards(made, console, claims, series=series))


def _captured(draw: Callable[[Console], None]) -> str:
    """What is drawn on a console, as plain text of a file's width."""
    from rich.console import Console

    file = io.StringIO()
    draw(Console(file=file, width=_FILE_WIDTH, color_system=None, force_terminal=False))
    return "\n".join(line.rstrip() for line in file.getvalue().split("\n"))


def _board(board: Board, claims: Sequence[Claim] | None) -> dict[str, Any]:
    reported = {} if claims is None else {"reported": as_data(board, beside(board, claims))}
    return {
        "key": board.key,
        "ranked_by": board.ranked_by,
        "columns": board.columns,
        "rows": [_row(row) for row in board.rows],
        "notes": board.notes,
        **reported,
    }


def _row(row: BoardRow) -> dict[str, Any]:
    """A row with its runs named by id; the records themselves are files already."""
    return {
        "name": row.name,
        "kind": row.kind,
        "rank": row.rank,
        "badges": row.badges,
        "seeds": row.seeds,
        "seconds_per_edit": row.seconds_per_edit,
        "columns": list(row.cells.values()),
        **({"series": row.series} if row.series else {}),
        "runs": [{"id": record.id, "command": record.command} for record in row.records],
    }
