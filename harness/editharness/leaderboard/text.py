"""Numbers and names as text. Names come from records that strangers wrote, so nothing in them may act on a terminal."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from editharness.leaderboard.board import Board, BoardRow, Heading
    from editharness.protocol import Better
    from editharness.stats import ColumnScore, PointScore

_ARROWS: dict[Better, str] = {"higher": "↑", "lower": "↓", "neither": ""}
_ACTING = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode categories that move a cursor, turn the writing direction, or cannot be printed."""


def plain(text: str, limit: int = 200) -> str:
    """One safe line: control characters, direction marks and surrogates become "?", long text is cut."""
    safe = " ".join(text.split())
    if not safe.isprintable():  # almost all text is, and asking for each sign takes long
        safe = "".join("?" if unicodedata.category(c) in _ACTING else c for c in safe)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


def arrow(heading: Heading) -> str:
    """The column's name with the direction that is better."""
    return f"{plain(heading.name, 28)} {_ARROWS[heading.better]}".rstrip()


def percent(value: float | None) -> str:
    """A share as per cent with one decimal; a dash where there is none."""
    return "–" if value is None else f"{_whole_zero(round(100 * value, 1)):.1f}"


def interval(cell: ColumnScore | PointScore, decimals: int = 1) -> str:
    """The interval in per cent, "[86.1, 97.0]"; empty where there is none."""
    if cell.low is None or cell.high is None:
        return ""
    low, high = (_whole_zero(round(100 * bound, decimals)) for bound in (cell.low, cell.high))
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]" if decimals else f"[{low:.0f},{high:.0f}]"


def seconds(value: float | None) -> str:
    """Seconds with three significant digits, never as a power of ten."""
    if value is None:
        return ""
    return (
        f"{value:.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 0.01
        else "<0.01"
    )


def rank(row: BoardRow) -> str:
    """The rank or range of ranks."""
    if row.rank is None:
        return ""
    best, worst = row.rank
    return str(best) if best == worst else f"{best}-{worst}"


def _whole_zero(number: float) -> float:
    """No "-0.0"."""
    return number if number else 0.0


def caption(board: Board) -> str:
    """What the board compares, in one line."""
    key = board.key
    revision = f" revision {key.model_revision[:12]}" if key.model_revision else ""
    seeds = f"seed{'s' if len(board.seeds) > 1 else ''} {', '.join(map(str, board.seeds)) or '–'}"
    parts = [
        f"model {key.model}{revision} (weights {key.model_digest[:8]})",
        f"data {key.data} ({key.data_sha256[:8]})",
        f"protocol {key.protocol} version {key.protocol_version} ({key.protocol_hash[:8]})",
        f"schedule {key.schedule}",
        f"{key.edits} edits",
        seeds,
        f"preset {key.preset}" if key.preset else "",
        "values in %, 95 % intervals",
        f"ranked by {board.ranked_by}" if board.ranked_by else "",
    ]
    return plain(" · ".join(part for part in parts if part), 1000)


def compared(board: Board) -> str:
    """The same without hashes, for the line below a plot's title."""
    key = board.key
    preset = f", preset {key.preset}" if key.preset else ""
    about = f"{key.protocol}, data {key.data}, model {key.model}, schedule {key.schedule}, {key.edits} edits{preset}"
    return plain(about, 400)


def row_label(*rows: BoardRow) -> str:
    """A row's name as a plot shows it; a run over part of the cases says so."""
    partial = any("partial" in row.badges for row in rows)
    return plain(rows[0].name, 40) + (" (partial)" if partial else "")
