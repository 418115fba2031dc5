"""Small tables beside a board, as values; the terminal and Markdown draw them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editharness.leaderboard.text import interval, percent
from editharness.stats import ColumnScore, PointScore


@dataclass(frozen=True)
class Cell:
    """A value as text, and its interval ("" where there is none)."""

    value: str
    interval: str = ""


Line = Sequence["str | Cell"]


@dataclass(frozen=True)
class SmallTable:
    """A titled table; the first cell of a row is its name."""

    title: str
    meaning: str
    heads: Sequence[str]
    rows: Sequence[Line]
    notes: Sequence[str] = ()


def cell_of(score: ColumnScore | PointScore | None, unit: str = "%") -> Cell:
    """A score with its interval, shares in per cent; a dash where nothing could be scored."""
    if score is None or score.value is None:
        return Cell(percent(None))
    if unit == "%":
        return Cell(percent(score.value), interval(score))
    bounds = "" if score.low is None or score.high is None else f"[{score.low:.2f}, {score.high:.2f}]"
    return Cell(f"{score.value:.2f}", bounds)
