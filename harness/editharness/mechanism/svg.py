"""Plots as SVG text: a frame for light and dark pages, text that cannot break out, and axes. `charts` draws with it.

Every plot has a title and a description for screen readers; colours are classes of one style sheet, which follows the
reader's preference. Whatever stands in a name is text, never markup.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

Anchor = Literal["start", "middle", "end"]
Shape = Literal["circle", "square", "triangle"]
SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle")
"""Shape and colour of the first, second and third group: a plot can be read without colours."""

_NAMESPACE = "http://www.w3.org/2000/svg"
_STYLE = """
text { font-family: 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; font-size: 12px; fill: #1b1f24 }
.title { font-weight: 600; font-size: 14px }
.small { font-size: 11px }
.paper { fill: #ffffff }
.line { stroke: #8c959f; stroke-width: 1; fill: none }
.grid { stroke: #d0d7de; stroke-width: 1; fill: none }
.up { fill: #54a3f0 } .down { fill: #f0883e }
.s0 { fill: #0969da; stroke: #0969da } .s1 { fill: #bc4c00; stroke: #bc4c00 } .s2 { fill: #1a7f37; stroke: #1a7f37 }
path.curve { fill: none; stroke-width: 2 } path.band { stroke: none; fill-opacity: 0.2 } .point { fill-opacity: 0.7 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .paper { fill: #0d1117 }
  .line { stroke: #6e7681 } .grid { stroke: #30363d }
  .up { fill: #1f6feb } .down { fill: #bd561d }
  .s0 { fill: #58a6ff; stroke: #58a6ff } .s1 { fill: #f0883e; stroke: #f0883e } .s2 { fill: #3fb950; stroke: #3fb950 }
}
"""


class Figure:
    """A plot under construction; `text()` gives the file's content. Lengths are in pixels from the top left."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.root = ET.Element("svg", {
            "xmlns": _NAMESPACE, "viewBox": f"0 0 {_number(width)} {_number(height)}", "width": _number(width),
            "height": _number(height), "role": "img", "aria-labelledby": "title description",
        })  # fmt: skip
        ET.SubElement(self.root, "title", {"id": "title"}).text = printable(title)
        ET.SubElement(self.root, "desc", {"id": "description"}).text = printable(description)
        ET.SubElement(self.root, "style").text = _STYLE
        self.rect(0, 0, width, height, "paper")

    def rect(self, x: float, y: float, width: float, height: float, kind: str, *, opacity: float = 1.0) -> None:
        """A filled rectangle of a class of the style sheet."""
        self._add("rect", kind, x=x, y=y, width=width, height=height, **({} if opacity == 1 else {"opacity": opacity}))

    def words(self, x: float, y: float, text: str, anchor: Anchor = "start", kind: str = "") -> None:
        """A line of text; y is its base line."""
        self._add("text", kind, x=x, y=y, **{"text-anchor": anchor}).text = printable(text)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "line") -> None:
        """A straight line."""
        self._add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, points: Sequence[tuple[float, float]], kind: str, *, closed: bool = False) -> None:
        """A line through points."""
        steps = " L ".join(f"{_number(x)} {_number(y)}" for x, y in points)
        self._add("path", kind, d=f"M {steps}{' Z' if closed else ''}")

    def mark(self, x: float, y: float, group: int, size: float = 4.0) -> None:
        """The mark of the group with this number, in its shape and colour."""
        kind = f"{series(group)} point"
        shape = SHAPES[group % len(SHAPES)]
        if shape == "circle":
            self._add("circle", kind, cx=x, cy=y, r=size)
        elif shape == "square":
            self.rect(x - size, y - size, 2 * size, 2 * size, kind)
        else:
            tip, foot = y - 1.2 * size, y + 0.9 * size
            self.path([(x, tip), (x + 1.2 * size, foot), (x - 1.2 * size, foot)], kind, closed=True)

    def text(self) -> str:
        """The finished SVG."""
        ET.indent(self.root)
        return ET.tostring(self.root, encoding="unicode") + "\n"

    def _add(self, tag: str, kind: str, **values: float | str) -> ET.Element:
        given = {name: value if isinstance(value, str) else _number(value) for name, value in values.items()}
        return ET.SubElement(self.root, tag, {**({"class": kind} if kind else {}), **given})


def series(group: int) -> str:
    """The class of a group's colour."""
    return f"s{group % len(SHAPES)}"


@dataclass(frozen=True)
class Axes:
    """A rectangle in which the data range x0..x1, y0..y1 lies; y grows upwards."""

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the data stands in the figure."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def draw(self, figure: Figure, x_label: str, y_label: str) -> None:
        """Frame, ticks with their numbers, grid and labels."""
        bottom, right = self.top + self.height, self.left + self.width
        for value in ticks(*self.x):
            x, _ = self.place(value, self.y[0])
            figure.line(x, self.top, x, bottom, "grid")
            figure.words(x, bottom + 15, f"{value:g}", "middle", "small")
        for value in ticks(*self.y):
            _, y = self.place(self.x[0], value)
            figure.line(self.left, y, right, y, "grid")
            figure.words(self.left - 5, y + 4, f"{value:g}", "end", "small")
        figure.line(self.left, bottom, right, bottom)
        figure.line(self.left, self.top, self.left, bottom)
        figure.words(self.left + self.width / 2, bottom + 32, x_label, "middle")
        figure.words(self.left, self.top - 8, f"↑ {y_label}")


def span(values: Sequence[float]) -> tuple[float, float]:
    """A range that holds all values with a little room; never empty. Raises ValueError for numbers that are none."""
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError("a plot needs finite numbers")
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or max(1e-6, 0.05 * abs(low))
    return low - room, high + room


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about as many as wanted: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def printable(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(c if c in "\t\n" or (c >= " " and not 0xD7FF < ord(c) < 0xE000 and ord(c) not in (0xFFFE, 0xFFFF))
                   else "�" for c in text)  # fmt: skip


def _number(value: float) -> str:
    """A length with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
