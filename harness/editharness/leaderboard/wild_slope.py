"""From teacher forcing to free answers (arXiv 2502.11177): a synthetic board beside the WILD board of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from editharness.charts.slopes import Slope, slope_chart
from editharness.charts.svg import Heading
from editharness.leaderboard.board import Board, BoardRow
from editharness.leaderboard.text import caption, compared, interval, percent, plain, row_label

SYNTHETIC, WILD = "synthetic", "wild"
"""The two protocols."""


def pairs(made: Sequence[Board]) -> Iterator[tuple[Board, Board]]:
    """(synthetic, WILD) boards that differ in nothing but task and protocol."""
    for synthetic in made:
        for wild in made:
            known = synthetic.key.protocol == SYNTHETIC and wild.key.protocol == WILD
            if known and synthetic.key == _as(synthetic, wild):
                yield synthetic, wild


def _as(one: Board, other: Board) -> object:
    """The other's key with the task and protocol of this one."""
    key = one.key
    return replace(
        other.key, task=key.task, protocol=key.protocol, protocol_version=key.protocol_version,
        protocol_hash=key.protocol_hash,
    )  # fmt: skip


def slope(synthetic: Board, wild: Board) -> str | None:
    """A line per method, controls in grey, between the columns that rank the boards; None where no method is on both.

    A method is on both only if the same seeds drew its cases; the note names those that are left out for that.
    """
    left, right = ({row.name: row for row in _valued(board)} for board in (synthetic, wild))
    both = [name for name in left if name in right and left[name].kind == right[name].kind]
    fair = [name for name in both if left[name].kind == "control" or left[name].seeds == right[name].seeds]
    slopes = [_slope(synthetic, left[name], wild, right[name]) for name in fair]
    if all(one.muted for one in slopes):
        return None
    dropped = [plain(name, 40) for name in both if name not in fair]
    note = f"left out, as their seeds differ: {', '.join(dropped)}" if dropped else ""
    title = f"Synthetic against WILD: {plain(str(synthetic.ranked_by), 40)}"
    told = "; ".join(f"{one.name} {one.told[0]} to {one.told[1]}" for one in slopes)
    said = f"{title}, in %: {told}; {caption(synthetic)}; {caption(wild)}"
    labels = _label(synthetic, "synthetic"), _label(wild, "WILD")
    heading = Heading(title, said, f"synthetic and {compared(wild)}")
    return slope_chart(slopes, heading=heading, labels=labels, y_range=(0.0, 100.0), note=_notes(note))


def _notes(left_out: str) -> str:
    first = "values in %, with 95 % intervals; grey: controls"
    return f"{first}; {left_out}" if left_out else first


def _valued(board: Board) -> list[BoardRow]:
    return [row for row in board.rows if row.value(board.ranked_by) is not None]


def _slope(synthetic: Board, left: BoardRow, wild: Board, right: BoardRow) -> Slope:
    cells = [row.cells[board.ranked_by or ""] for board, row in ((synthetic, left), (wild, right))]
    first, last = (100 * (cell.value or 0.0) for cell in cells)
    before, after = (f"{percent(cell.value)} {interval(cell)}".rstrip() for cell in cells)
    return Slope(row_label(left, right), (first, last), (before, after), muted=left.kind != "method")


def _label(board: Board, name: str) -> str:
    """What an upright shows."""
    title = next((heading.title for heading in board.columns if heading.name == board.ranked_by), "")
    return plain(f"{name}: {title}", 80)
