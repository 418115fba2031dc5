"""Slope chart: one line per name from a value on the left to one on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editharness.charts.axes import Axes, Range, span
from editharness.charts.labels import extent, spread, wrapped
from editharness.charts.svg import Anchor, Figure, Heading, Look, looks

_WIDTH, _LINE = 260, 15


@dataclass(frozen=True)
class Slope:
    """One line: its name, the two values, and what is written at its ends beside the name."""

    name: str
    ends: tuple[float, float]
    told: tuple[str, str]
    muted: bool = False


def slope_chart(
    slopes: Sequence[Slope], *, heading: Heading, labels: tuple[str, str], y_range: Range | None = None, note: str = ""
) -> str:
    """Lines between two uprights named by `labels`; at both ends name and value, moved apart where they would collide.

    Raises ValueError where there is nothing to draw.
    """
    if not slopes:
        raise ValueError("a slope chart needs one line at least")
    texts = [[f"{s.name} {s.told[0]}" for s in slopes], [f"{s.told[1]} {s.name}" for s in slopes]]
    left, right = (30 + max([extent(text, 11) for text in own], default=0) for own in texts)
    # a label is centred over its upright: the wider half has to fit on the page
    left, right = max(left, 100), max(right, 100)
    figure = Figure(left + _WIDTH + right, heading)
    height = max(300, _LINE * len(slopes) + 20)
    top = figure.bottom + 24 + _labels(figure, labels, (left, left + _WIDTH))
    axes = Axes(left, top, _WIDTH, height, (0, 1), y_range or span([value for s in slopes for value in s.ends]))
    for at in (0, 1):
        figure.line(axes.place(at, axes.y[0]), axes.place(at, axes.y[1]))
    styles = looks([slope.muted for slope in slopes])
    for slope, style in sorted(zip(slopes, styles, strict=True), key=lambda pair: not pair[0].muted):
        _line(figure, axes, slope, style)
    for side in (0, 1):
        _ends(figure, axes, [slope.ends[side] for slope in slopes], texts[side], side)
    figure.bottom = top + height + 8
    figure.paragraph(note)
    return figure.text()


def _labels(figure: Figure, labels: tuple[str, str], at: tuple[float, float]) -> float:
    """What the uprights show, over them; returns the height that takes."""
    rows = [wrapped(label, min(_WIDTH - 10, 190), 11) for label in labels]
    for x, lines in zip(at, rows, strict=True):
        for number, line in enumerate(lines):
            figure.words(x, figure.bottom + 24 + 14 * number, line, "middle", "small")
    return 14.0 * max(map(len, rows))


def _line(figure: Figure, axes: Axes, slope: Slope, style: Look) -> None:
    places = [axes.place(at, value) for at, value in enumerate(slope.ends)]
    figure.curve(places, style)
    for place in places:
        figure.mark(*place, style, 3)


def _ends(figure: Figure, axes: Axes, values: Sequence[float], texts: Sequence[str], side: int) -> None:
    """Names and values of one side, in the order of the values, with a line to what they belong to."""
    out = -1 if side == 0 else 1
    anchor: Anchor = "end" if side == 0 else "start"
    places = [axes.place(side, value) for value in values]
    heights = spread([y for _, y in places], _LINE, axes.top, axes.top + axes.height)
    for (x, y), height, text in zip(places, heights, texts, strict=True):
        figure.line((x + out * 5, y), (x + out * 18, height))
        figure.words(x + out * 21, height + 4, text, anchor, "name")
