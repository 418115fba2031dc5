"""Drawing on an SVG figure: text that cannot break out of it, colours for light and dark pages, axes with ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

Anchor = Literal["start", "middle", "end"]
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e", "#7d6b00", "#0e7490", "#bf3989")
"""Of Primer's palette; a curve beyond the eighth begins anew, dashed."""
_STYLE = """
text { font-family: 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; font-size: 12px; fill: #1b1f24 }
.title { font-weight: 600; font-size: 14px }
.small { font-size: 11px }
.paper { fill: #ffffff }
.line { stroke: #8c959f; fill: none }
.grid { stroke: #d0d7de; fill: none }
.heat { fill: #54a3f0 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .paper { fill: #0d1117 }
  .line { stroke: #6e7681 } .grid { stroke: #30363d }
  .heat { fill: #1f6feb }
}
"""


class Figure:
    """A plot under construction; `text()` gives the file's content. Lengths are in pixels from the top left."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self.root = ET.Element("svg", {
            "xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {_number(width)} {_number(height)}",
            "width": _number(width), "height": _number(height), "role": "img", "aria-labelledby": "title description",
        })  # fmt: skip
        self.width = width
        ET.SubElement(self.root, "title", {"id": "title"}).text = printable(title)
        ET.SubElement(self.root, "desc", {"id": "description"}).text = printable(description)
        ET.SubElement(self.root, "style").text = _STYLE
        self.add("rect", "paper", x=0, y=0, width=width, height=height)

    def words(self, x: float, y: float, text: str, anchor: Anchor = "start", kind: str = "") -> None:
        """A line of text; y is its base line."""
        self.add("text", kind, x=x, y=y, **{"text-anchor": anchor}).text = printable(text)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "line") -> None:
        """A straight line."""
        self.add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def curve(self, points: Sequence[tuple[float, float]], number: int) -> None:
        """A line through points, in the colour of the curve with this number."""
        dash = {"stroke-dasharray": "6 4"} if number >= len(COLOURS) else {}
        self.add("path", "", d=_path(points), fill="none", stroke=colour(number), **{"stroke-width": "2", **dash})

    def band(self, points: Sequence[tuple[float, float]], number: int) -> None:
        """The area within points, pale, in the colour of the curve with this number."""
        self.add("path", "", d=f"{_path(points)} Z", fill=colour(number), **{"fill-opacity": "0.15"})

    def text(self) -> str:
        """The finished SVG."""
        ET.indent(self.root)
        return ET.tostring(self.root, encoding="unicode") + "\n"

    def add(self, tag: str, kind: str, **values: float | str) -> ET.Element:
        """An element with a class of the style sheet and attributes."""
        given = {name: value if isinstance(value, str) else _number(value) for name, value in values.items()}
        return ET.SubElement(self.root, tag, {**({"class": kind} if kind else {}), **given})


def colour(number: int) -> str:
    """The colour of the curve with this number."""
    return COLOURS[number % len(COLOURS)]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return f"M {' L '.join(f'{_number(x)} {_number(y)}' for x, y in points)}"


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
        """Frame, grid, ticks with their numbers, labels."""
        bottom = self.top + self.height
        for value in ticks(*self.x):
            x, _ = self.place(value, self.y[0])
            figure.line(x, self.top, x, bottom, "grid")
            figure.words(x, bottom + 16, f"{value:g}", "middle", "small")
        for value in ticks(*self.y):
            _, y = self.place(self.x[0], value)
            figure.line(self.left, y, self.left + self.width, y, "grid")
            figure.words(self.left - 6, y + 4, f"{value:g}", "end", "small")
        figure.line(self.left, bottom, self.left + self.width, bottom)
        figure.line(self.left, self.top, self.left, bottom)
        figure.words(self.left + self.width / 2, bottom + 34, x_label, "middle")
        figure.words(self.left, self.top - 8, y_label)


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about as many as wanted: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def printable(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(c if c in "\t\n" or (c >= " " and not 0xD7FF < ord(c) < 0xE000 and ord(c) not in (0xFFFE, 0xFFFF))
                   else "�" for c in text)  # fmt: skip


def _number(value: float) -> str:
    """A length with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"
