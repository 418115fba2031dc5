"""The figure on which every plot is drawn: a heading, marks and curves, colours for light and dark pages.

Every plot has a title and a description for screen readers; colours are classes of one style sheet, which follows the
reader's preference. Whatever stands in a name is text, never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from editharness.charts.labels import printable, wrapped

Anchor = Literal["start", "middle", "end"]
Shape = Literal["circle", "square", "triangle", "diamond", "wedge"]
Place = tuple[float, float]

SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "diamond", "wedge")
PALETTE = (
    ("#0969da", "#58a6ff"), ("#bc4c00", "#f0883e"), ("#1a7f37", "#3fb950"), ("#8250df", "#bc8cff"),
    ("#cf222e", "#ff7b72"), ("#7d6b00", "#d4b106"), ("#0e7490", "#39c5cf"), ("#bf3989", "#f778ba"),
)  # fmt: skip
"""(on a light page, on a dark page), of Primer's colours."""
DASHES = ("", "6 4", "2 3", "9 3 2 3")
_MUTED = ("#6e7781", "#8b949e")
_MARGIN = 12

_STYLE = """
text { font-family: 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif; font-size: 12px; fill: #1b1f24 }
.title { font-weight: 600; font-size: 14px }
.small { font-size: 11px }
.name { font-size: 11px; paint-order: stroke; stroke: #ffffff; stroke-width: 3px; stroke-linejoin: round }
.paper { fill: #ffffff }
.line { stroke: #8c959f; stroke-width: 1; fill: none }
.grid { stroke: #d0d7de; stroke-width: 1; fill: none }
.up { fill: #54a3f0 } .down { fill: #f0883e }
COLOURS
path.curve { fill: none; stroke-width: 2 } path.band { stroke: none } .point { fill-opacity: 0.7 }
line.bar { stroke-opacity: 0.4 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .name { stroke: #0d1117 }
  .paper { fill: #0d1117 }
  .line { stroke: #6e7681 } .grid { stroke: #30363d }
  .up { fill: #1b5fc9 } .down { fill: #a84a16 }
  DARK
}
"""


@dataclass(frozen=True)
class Look:
    """Colour (a class of the style sheet), shape and dashes: a plot can be read without colours."""

    colour: str
    shape: Shape
    dash: str = ""


MUTED = Look("muted", "diamond", "2 3")
"""What is there to compare with: grey, dotted."""


def look(number: int) -> Look:
    """The look of the curve or group with this number; the first forty differ in colour or shape."""
    dash = DASHES[number // len(PALETTE) % len(DASHES)]
    return Look(f"s{number % len(PALETTE)}", SHAPES[number % len(SHAPES)], dash)


def looks(muted: Sequence[bool]) -> list[Look]:
    """One look each: those that are not muted are numbered in their order."""
    return [MUTED if grey else look(number - sum(muted[:number])) for number, grey in enumerate(muted)]


@dataclass(frozen=True)
class Heading:
    """A plot's title, the line below it, and what a screen reader tells of the plot."""

    title: str
    description: str
    about: str = ""


class Figure:
    """A plot under construction: it grows downwards, and `text()` gives the file's content.

    Lengths are in pixels from the top left; `bottom` is the lowest place in use.
    """

    def __init__(self, width: float, heading: Heading) -> None:
        self.width, self.bottom = width, 8.0
        self.root = ET.Element("svg", {
            "xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-labelledby": "title description",
        })  # fmt: skip
        ET.SubElement(self.root, "title", {"id": "title"}).text = printable(heading.title)
        ET.SubElement(self.root, "desc", {"id": "description"}).text = printable(heading.description)
        ET.SubElement(self.root, "style").text = _style()
        self._paper = self._add("rect", "paper", x=0, y=0)
        self.paragraph(heading.title, "title", 14 * 1.1)
        self.paragraph(heading.about, "small", 11)

    def paragraph(self, text: str, kind: str = "small", size: float = 11) -> None:
        """Text below all there is, on as many lines as it needs."""
        for line in wrapped(text, self.width - 2 * _MARGIN, size):
            self.bottom += size + 5
            self.words(_MARGIN, self.bottom, line, kind=kind)

    def rect(self, x: float, y: float, width: float, height: float, kind: str, *, opacity: float = 1.0) -> None:
        """A filled rectangle of a class of the style sheet."""
        faint = {} if opacity == 1 else {"opacity": f"{opacity:.3f}"}
        self._add("rect", kind, x=x, y=y, width=width, height=height, **faint)

    def words(self, x: float, y: float, text: str, anchor: Anchor = "start", kind: str = "") -> None:
        """A line of text; y is its base line."""
        self._add("text", kind, x=x, y=y, **{"text-anchor": anchor}).text = printable(text)

    def line(self, start: Place, end: Place, kind: str = "line") -> None:
        """A straight line."""
        self._add("line", kind, x1=start[0], y1=start[1], x2=end[0], y2=end[1])

    def curve(self, points: Sequence[Place], style: Look) -> None:
        """A line through points."""
        self._path(points, f"{style.colour} curve", dash=style.dash)

    def band(self, points: Sequence[Place], style: Look, opacity: float = 0.15) -> None:
        """The area within points, pale."""
        self._path(points, f"{style.colour} band", closed=True, opacity=opacity)

    def mark(self, x: float, y: float, style: Look, size: float = 4.0) -> None:
        """A point in its shape and colour."""
        kind = f"{style.colour} point"
        if style.shape == "circle":
            self._add("circle", kind, cx=x, cy=y, r=size)
        elif style.shape == "square":
            self.rect(x - size, y - size, 2 * size, 2 * size, kind)
        else:
            self._path([(x + a * size, y + b * size) for a, b in _CORNERS[style.shape]], kind, closed=True)

    def text(self) -> str:
        """The finished SVG."""
        width, height = _number(self.width), _number(self.bottom + _MARGIN)
        for element in (self.root, self._paper):
            element.set("width", width)
            element.set("height", height)
        self.root.set("viewBox", f"0 0 {width} {height}")
        ET.indent(self.root)
        return ET.tostring(self.root, encoding="unicode") + "\n"

    def _path(
        self, points: Sequence[Place], kind: str, *, closed: bool = False, dash: str = "", opacity: float | None = None
    ) -> None:
        steps = " L ".join(f"{_number(x)} {_number(y)}" for x, y in points)
        more = {"stroke-dasharray": dash} if dash else {}
        more |= {} if opacity is None else {"fill-opacity": f"{opacity:.3f}"}
        self._add("path", kind, d=f"M {steps}{' Z' if closed else ''}", **more)

    def _add(self, tag: str, kind: str, **values: float | str) -> ET.Element:
        given = {name: value if isinstance(value, str) else _number(value) for name, value in values.items()}
        return ET.SubElement(self.root, tag, {**({"class": kind} if kind else {}), **given})


_CORNERS: dict[Shape, tuple[Place, ...]] = {
    "triangle": ((0, -1.2), (1.2, 0.9), (-1.2, 0.9)),
    "wedge": ((0, 1.2), (1.2, -0.9), (-1.2, -0.9)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
}


def _style() -> str:
    """The style sheet with the palette filled in."""
    names = [*(f"s{number}" for number in range(len(PALETTE))), MUTED.colour]
    light, dark = zip(*PALETTE, _MUTED, strict=True)
    rules = [" ".join(f".{n} {{ fill: {c}; stroke: {c} }}" for n, c in zip(names, own, strict=True))
             for own in (light, dark)]  # fmt: skip
    return _STYLE.replace("COLOURS", rules[0]).replace("DARK", rules[1])


def _number(value: float) -> str:
    """A length with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
