"""Boards in a terminal: tables that fit its width, plain where the output is not a terminal.

Every text goes through `plain` into a `rich.text.Text`, never through Rich's markup, so that a name from a record can
neither colour, link nor move anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.text import Text

from editharness.leaderboard.beside import MARK, as_board, beside
from editharness.leaderboard.board import Board, BoardRow, Entry, Heading
from editharness.leaderboard.quick import QuickTable
from editharness.leaderboard.rows import boards
from editharness.leaderboard.series import has_curves, series_tables
from editharness.leaderboard.tables import Cell, SmallTable
from editharness.leaderboard.text import arrow, caption, interval, percent, plain, rank, seconds

if TYPE_CHECKING:
    from rich.console import Console

    from editharness.leaderboard.claims import Claim
    from editharness.store import RunRecord

_NAME_WIDTH = 22
_WIDEST_NAME = 32
_GAP = 2
_RANK_WIDTH = 7
_SECONDS = "s/edit"


def show(records: Iterable[Entry | RunRecord], console: Console) -> None:
    """Print every board of these runs."""
    show_boards(boards(records), console)


def show_boards(
    made: Iterable[Board], console: Console, claims: Sequence[Claim] | None = None, *, series: bool | None = False
) -> None:
    """Print boards, each as one table or, where the console is narrow, as several; `claims` stand below each.

    `series`: also what was measured over the number of edits; None: where that makes curves.
    """
    for number, board in enumerate(made):
        if number:
            console.print()
        show_board(board, console)
        if claims is not None:
            console.print()
            show_beside(board, claims, console)
        if series or (series is None and has_curves(board)):
            show_tables(series_tables(board), console)


def show_tables(tables: Iterable[SmallTable], console: Console) -> None:
    """Print small tables, each below its title."""
    safe = _Encoder(console)
    style = box.SIMPLE_HEAD if safe.utf else box.ASCII2
    for one in tables:
        console.print()
        console.print(safe(one.title, "bold").append_text(safe(f": {one.meaning}" if one.meaning else "", "dim")))
        table = QuickTable(box=style, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
        for number, head in enumerate(one.heads):
            table.add_column(safe(head), justify="right" if number else "left", overflow="fold")
        for row in one.rows:
            table.add_row(*(_small(safe, cell) for cell in row))
        console.print(table)
        for note in one.notes:
            console.print(safe(note, "dim"))


def _small(safe: _Encoder, cell: str | Cell) -> Text:
    if isinstance(cell, str):
        return safe(cell)
    return _styled(safe, f"{cell.value}\n{cell.interval}" if cell.interval else cell.value)


def show_board(board: Board, console: Console) -> None:
    """Print one board: title, tables, what the columns mean, how it was made."""
    safe = _Encoder(console)
    console.print(safe(f"{board.key.protocol} · data {board.key.data} · model {board.key.model}", "bold"))
    _print_tables(board, console, safe, pace=True)
    legend = [f"{plain(h.name)}: {plain(h.title)}" for h in board.columns if h.title and h.title != h.name]
    console.print()
    if legend:
        console.print(safe("; ".join(legend), "dim"))
    console.print(safe(caption(board), "dim"))
    for note in board.notes:
        console.print(safe(f"Note: {note}", "yellow"))


def show_beside(board: Board, claims: Sequence[Claim], console: Console) -> None:
    """Print what papers claim next to the rows it is claimed of."""
    safe, found = _Encoder(console), beside(board, claims)
    if not found:
        console.print(safe(f"No paper's figure is kept for the methods and columns of {board.key.task}.", "dim"))
        return
    made = as_board(board, found)
    console.print(safe(f"{board.key.protocol} · {MARK}", "bold"))
    _print_tables(made, console, safe, pace=False)
    console.print()
    for note in made.notes:
        console.print(safe(note, "dim"))


def _print_tables(board: Board, console: Console, safe: _Encoder, *, pace: bool) -> None:
    """The board's table, cut where the console is narrow; with `pace` the last one has the seconds per edit."""
    grid = _Grid(board)
    chunks = _split(grid, console.width)
    for number, chunk in enumerate(chunks):
        first, last = number == 0, number == len(chunks) - 1
        console.print()
        console.print(_table(grid, chunk, safe, console.width, first=first, pace=pace and last))


class _Grid:
    """A board's cells as text, with their widths."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.own_n = [row.own_n(board.columns) for row in board.rows]
        pairs = list(zip(board.rows, self.own_n, strict=True))
        self.cells = {h.name: [_cell(row, h, own_n) for row, own_n in pairs] for h in board.columns}
        self.widths = {h.name: _GAP + _width([_header(h), *self.cells[h.name]]) for h in board.columns}
        self.name_width = min(_NAME_WIDTH, max([12, *(len(plain(row.name)) for row in board.rows)]))


def _width(cells: Sequence[str]) -> int:
    return max(len(line) for cell in cells for line in cell.split("\n"))


class _Encoder:
    """Safe styled text; signs that the console's encoding lacks are replaced."""

    def __init__(self, console: Console) -> None:
        self._encoding = console.encoding
        self.utf = console.encoding.lower().startswith("utf")

    def __call__(self, text: str, style: str = "") -> Text:
        lines = "\n".join(plain(line, 2000) for line in text.split("\n"))
        try:
            lines.encode(self._encoding)
        except UnicodeEncodeError:
            for sign, ascii_sign in {"↑": "^", "↓": "v", "–": "-", "…": "...", "·": "|"}.items():
                lines = lines.replace(sign, ascii_sign)
            lines = lines.encode(self._encoding, "replace").decode(self._encoding)
        return Text(lines, style=style)


def _split(grid: _Grid, width: int) -> list[tuple[Heading, ...]]:
    """Columns in as few tables as fit; among those the cut falls after the ranked column where it can."""
    board, room = grid.board, width - grid.name_width - _RANK_WIDTH
    seconds_width = len(_SECONDS) + _GAP
    whole = _fill(grid, board.columns, room, seconds_width)
    names = [heading.name for heading in board.columns]
    cut = names.index(board.ranked_by) + 1 if board.ranked_by in names else len(names)
    if len(whole) == 1 or cut == len(names):
        return whole
    halves = [*_fill(grid, board.columns[:cut], room, 0), *_fill(grid, board.columns[cut:], room, seconds_width)]
    return whole if len(whole) < len(halves) else halves


def _fill(grid: _Grid, columns: Sequence[Heading], room: int, spare: int) -> list[tuple[Heading, ...]]:
    """Cut columns into tables of `room` characters, about equally wide; the last one has `spare` left."""
    widths = [grid.widths[heading.name] for heading in columns]
    tables = max(1, -(-(sum(widths) + spare) // max(room, 1)))
    while True:
        chunks = _cut(columns, widths, room, -(-(sum(widths) + spare) // tables))
        last = sum(widths[len(columns) - len(chunks[-1]) :])
        if (len(chunks) <= tables and last + spare <= room) or tables >= len(columns):
            return chunks
        tables += 1


def _cut(columns: Sequence[Heading], widths: Sequence[int], room: int, target: int) -> list[tuple[Heading, ...]]:
    """Columns in order, a new table where `room` would be passed or `target` has been reached."""
    chunks: list[tuple[Heading, ...]] = [()]
    used = 0
    for heading, wide in zip(columns, widths, strict=True):
        if chunks[-1] and (used + wide > room or used >= target):
            chunks.append(())
            used = 0
        chunks[-1] = (*chunks[-1], heading)
        used += wide
    return chunks


def _header(heading: Heading) -> str:
    return f"{arrow(heading)}\nn={heading.n}" if heading.n else arrow(heading)


def _cell(row: BoardRow, heading: Heading, own_n: int | None) -> str:
    """Value, below it the interval, below that the n where neither the column nor the row says it."""
    cell = row.cells.get(heading.name)
    if cell is None or cell.value is None:
        return "–"
    own = f"\nn={cell.n}" if cell.n and cell.n not in (heading.n, own_n) else ""
    return f"{percent(cell.value)}\n{interval(cell, 0)}{own}".rstrip()


def _table(
    grid: _Grid, columns: Sequence[Heading], safe: _Encoder, width: int, *, first: bool, pace: bool
) -> QuickTable:
    board, rows = grid.board, grid.board.rows
    used = sum(grid.widths[heading.name] for heading in columns) + (len(_SECONDS) + _GAP if pace else 0)
    name_width = max(grid.name_width, min(_WIDEST_NAME, width - used - _RANK_WIDTH) if first else 0)
    style = box.SIMPLE_HEAD if safe.utf else box.ASCII2
    table = QuickTable(box=style, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(Text("#"), justify="right", no_wrap=True)
    table.add_column(Text("row"), width=name_width, overflow="fold")
    for heading in columns:
        table.add_column(safe(_header(heading), "bold" if heading.name == board.ranked_by else ""), justify="right")
    if pace:
        table.add_column(Text(_SECONDS), justify="right")
    for number, (row, following) in enumerate(zip(rows, [*rows[1:], None], strict=True)):
        cells = [_styled(safe, grid.cells[heading.name][number]) for heading in columns]
        spent = [safe(seconds(row.seconds_per_edit))] if pace else []
        label = _label(safe, row, grid.own_n[number], badges=first)
        end = following is not None and _section(following) != _section(row)
        table.add_row(safe(rank(row)), label, *cells, *spent, end_section=end)
    return table


def _section(row: BoardRow) -> tuple[bool, int]:
    """Controls, rows of one tier, and a row with what is claimed of it each stand between lines."""
    return row.kind == "control" and not row.tier, row.tier


def _label(safe: _Encoder, row: BoardRow, own_n: int | None, *, badges: bool) -> Text:
    label = safe(row.name, "bold" if row.kind == "method" else "italic")
    marks = [*(row.badges if badges else ()), *([f"n={own_n}"] if own_n else [])]
    if marks:
        label.append_text(safe("\n" + " · ".join(marks), "dim"))
    return label


def _styled(safe: _Encoder, cell: str) -> Text:
    """The value as it is, the interval and n dim."""
    value, _, rest = cell.partition("\n")
    text = safe(value)
    if rest:
        text.append_text(safe("\n" + rest, "dim"))
    return text
