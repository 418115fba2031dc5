"""Records on disk as text: a table, Markdown or JSON."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from editharness.leaderboard.beside import as_data, beside
from editharness.leaderboard.board import Board, BoardRow, Entry
from editharness.leaderboard.claims import Claim
from editharness.leaderboard.rows import boards
from editharness.store import find_records, read_record
from editharness.store.portable import portable

_FILE_WIDTH = 120


def load(paths: Sequence[Path]) -> list[Entry]:
    """All records below `paths`, each with its folder; RecordError for the first that cannot be read."""
    return [Entry(read_record(path), path.parent) for path in find_records(paths)]


def show_records(
    paths: Sequence[Path],
    form: str = "table",
    command: str = "editharness leaderboard",
    claims: Sequence[Claim] | None = None,
) -> None:
    """Print the boards of all records below `paths` as "table" (fits the terminal), "json" or "markdown".

    With `claims`, what papers report stands below each board.
    """
    made = boards(load(paths))
    if form != "table":
        sys.stdout.write(as_text(made, form, command, claims))
        return
    from rich.console import Console

    from editharness.leaderboard.terminal import show_boards

    show_boards(made, Console(), claims)


def as_text(made: Sequence[Board], form: str, command: str, claims: Sequence[Claim] | None = None) -> str:
    """Boards as the content of a file; `command` makes it again and stands in Markdown's first line."""
    if form == "json":
        return json.dumps(portable([_board(board, claims) for board in made]), indent=2, ensure_ascii=False) + "\n"
    if form == "markdown":
        from editharness.leaderboard.markdown import render

        return render(made, command, claims)
    from rich.console import Console

    from editharness.leaderboard.terminal import show_boards

    file = io.StringIO()
    show_boards(made, Console(file=file, width=_FILE_WIDTH, color_system=None, force_terminal=False), claims)
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
        "runs": [{"id": record.id, "command": record.command} for record in row.records],
    }
