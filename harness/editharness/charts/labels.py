"""Text in a figure: how wide it is, lines that fit, names beside points that do not cover each other.

Nothing here measures a font: widths are rough and rather too large than too small.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


def extent(text: str, size: float = 12) -> float:
    """Rough width in pixels of text in letters of this size."""
    return size * sum(map(_width, text))


def _width(letter: str) -> float:
    """In parts of the letters' size."""
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if letter in "mwMW%—":
        return 0.98
    return 0.72 if letter.isupper() else 0.38 if letter in " .,:;'|iljt()[]-" else 0.63


def wrapped(text: str, room: float, size: float = 12) -> list[str]:
    """Lines of at most `room` pixels; a word that is longer is cut."""
    lines: list[str] = []
    for word in printable(text).split():
        if lines and extent(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
            continue
        *full, rest = _pieces(word, room, size)
        lines += [*full, rest]
    return lines


def _pieces(word: str, room: float, size: float) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and extent(pieces[-1] + letter, size) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def printable(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(c if c in "\t\n" or (c >= " " and not 0xD7FF < ord(c) < 0xE000 and ord(c) not in (0xFFFE, 0xFFFF))
                   else "\ufffd" for c in text)  # fmt: skip


class Box(NamedTuple):
    """A rectangle in pixels from the top left."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two have some area in common."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Whether the other lies within this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True)
class Label:
    """Where a name stands: the start of its base line, and the line that leads to its point, if it is far away."""

    x: float
    y: float
    lead: tuple[tuple[float, float], tuple[float, float]] | None = None


def beside(points: Sequence[tuple[float, float]], names: Sequence[str], area: Box, size: float = 11) -> list[Label]:
    """A place for each point's name within `area`, as near as possible, on no mark, no other name and no leader."""
    taken = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    found = []
    for point, name in zip(points, names, strict=True):
        places = [
            (box, lead) for box, lead in _places(point, extent(name, size), size, area)
            if area.holds(box) and not any(box.meets(other) for other in taken)
        ]  # fmt: skip
        clear = (place for place in places if _clear(place[1], point, taken))
        box, lead = next(clear, (places or [_nearest(point, extent(name, size), size)])[0])
        taken += [box, *_dots(lead)]
        found.append(Label(box.left, box.bottom - 3, lead))
    return found


_Lead = tuple[tuple[float, float], tuple[float, float]] | None


def _places(point: tuple[float, float], width: float, size: float, area: Box) -> Iterator[tuple[Box, _Lead]]:
    """Boxes around a point, the nearest first: to the right, to the left, above, below, then all round and farther."""
    x, y = point
    half = size / 2 + 1
    for step in range(math.ceil(math.dist(area[:2], area[2:]) / 10)):
        away = 7 + 10 * step
        for turn in (0, 8, 4, 12, 2, 14, 6, 10, 1, 15, 3, 13, 5, 11, 7, 9):
            a, b = math.cos(turn * math.pi / 8), -math.sin(turn * math.pi / 8)
            edge = (x + a * away, y + b * (away + half / 2))
            # the box hangs on the leader's end: by its left, its right or its middle
            left = edge[0] if a > 0.1 else edge[0] - width if a < -0.1 else edge[0] - width / 2
            box = Box(left, edge[1] - half, left + width, edge[1] + half)
            yield box, None if step == 0 else (point, edge)


def _nearest(point: tuple[float, float], width: float, size: float) -> tuple[Box, _Lead]:
    """Right of the point, for where nothing is free."""
    x, y = point
    half = size / 2 + 1
    return Box(x + 7, y - half, x + 7 + width, y + half), None


def _clear(lead: _Lead, point: tuple[float, float], taken: Sequence[Box]) -> bool:
    """Whether a leader runs over nothing, but for what stands round its point."""
    around = Box(point[0] - 9, point[1] - 9, point[0] + 9, point[1] + 9)
    others = [other for other in taken if not other.meets(around)]
    return not any(dot.meets(other) for dot in _dots(lead) for other in others)


def _dots(lead: _Lead) -> list[Box]:
    """Small boxes along a leader."""
    if lead is None:
        return []
    (x1, y1), (x2, y2) = lead
    count = max(1, math.ceil(math.dist(*lead) / 4))
    steps = [(x1 + (x2 - x1) * i / count, y1 + (y2 - y1) * i / count) for i in range(count)]
    return [Box(x - 1, y - 1, x + 1, y + 1) for x, y in steps]


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights at least `gap` apart and near those wanted, within low..high where that has room; order is kept."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    found = [0.0] * len(wanted)
    last = low - gap
    for index in order:
        last = found[index] = max(wanted[index], last + gap)
    last = high + gap
    for index in reversed(order):
        last = found[index] = min(found[index], last - gap)
    return found
