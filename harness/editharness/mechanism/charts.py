"""Heat map, scatter plot and line chart as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editharness.mechanism.svg import Axes, Figure, series, span

Point = tuple[float, float]
_CELL, _ROW, _TOP = 46, 26, 60
_LETTER = 7.0
"""Rough width of a letter: labels get the room of the longest."""
_VISIBLE = 0.01
"""A colour of less strength than this cannot be told from none, and needs no place in the legend."""


def heat_map(
    values: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], *,
    title: str, description: str, x_label: str, legend: str,
) -> str:  # fmt: skip
    """`values` [rows][columns] as coloured cells with their numbers; blue above zero, orange below, none at zero.

    The colour's strength goes with |value|, up to the largest one; the legend names that.
    """
    left = 20 + _LETTER * max(map(len, rows))
    width = max(left + _CELL * len(columns) + 20, 20 + _LETTER * 1.15 * max(len(title), len(legend)), 420)
    bottom = _TOP + _ROW * len(rows)
    largest = max((abs(value) for row in values for value in row), default=0.0)
    figure = Figure(width, bottom + 96, title, description)
    figure.words(12, 24, title, kind="title")
    for index, column in enumerate(columns):
        figure.words(left + _CELL * (index + 0.5), _TOP - 8, column, "middle", "small")
    for number, (name, row) in enumerate(zip(rows, values, strict=True)):
        y = _TOP + _ROW * number
        figure.words(left - 8, y + 17, name, "end")
        for index, value in enumerate(row):
            _cell(figure, left + _CELL * index, y, value, largest)
    figure.words(left + _CELL * len(columns) / 2, bottom + 18, x_label, "middle")
    _scale(
        figure, left, bottom + 34, largest, legend, negative=any(v < -_VISIBLE * largest for row in values for v in row)
    )
    return figure.text()


def _cell(figure: Figure, x: float, y: float, value: float, largest: float) -> None:
    strength = abs(value) / largest if largest else 0.0
    figure.rect(x + 1, y + 1, _CELL - 2, _ROW - 2, "up" if value >= 0 else "down", opacity=round(strength, 3))
    figure.words(x + _CELL / 2, y + 17, _short(value), "middle", "small")


def _scale(figure: Figure, x: float, y: float, largest: float, legend: str, *, negative: bool) -> None:
    """The legend: cells from the lowest to the highest value with their numbers."""
    shares = (-1.0, -0.5, 0.0, 0.5, 1.0) if negative else (0.0, 0.25, 0.5, 0.75, 1.0)
    for index, share in enumerate(shares):
        _cell(figure, x + _CELL * index, y, share * largest, largest)
    figure.words(x, y + _ROW + 18, legend, kind="small")


def _short(value: float) -> str:
    text = f"{value:.2f}"
    return text.replace("-0.00", "0.00").replace("0.", ".") if abs(value) < 1 else text


@dataclass(frozen=True)
class Group:
    """Points under one name."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Panel:
    """One scatter plot of a figure."""

    x_label: str
    y_label: str
    groups: Sequence[Group]


def scatter(panels: Sequence[Panel], *, title: str, description: str, note: str = "") -> str:
    """Scatter plots side by side with one legend; groups, three at most, differ in shape and in colour."""
    side, gap = 320, 70
    names = [group.name for group in panels[0].groups]
    if not 0 < len(names) <= 3:
        raise ValueError(f"{len(names)} groups: a scatter plot shows one to three")
    figure = Figure(gap + len(panels) * (side + gap), side + 150, title, description)
    figure.words(12, 24, title, kind="title")
    _legend(figure, names, 12, 46, line=False)
    for index, panel in enumerate(panels):
        points = [point for group in panel.groups for point in group.points]
        axes = Axes(
            gap + index * (side + gap), 84, side, side, span([x for x, _ in points]), span([y for _, y in points])
        )
        axes.draw(figure, panel.x_label, panel.y_label)
        for number, group in enumerate(panel.groups):
            for x, y in group.points:
                figure.mark(*axes.place(x, y), number)
    if note:
        figure.words(12, side + 140, note, kind="small")
    return figure.text()


@dataclass(frozen=True)
class Line:
    """One curve; `band`: the interval (low, high) at each point, where there is one."""

    name: str
    points: Sequence[Point]
    band: Sequence[tuple[float, float]] = ()


def lines(
    curves: Sequence[Line], *, title: str, description: str, x_label: str, y_label: str,
    width: float = 560, height: float = 300,
) -> str:  # fmt: skip
    """Curves with their intervals; up to three, each with marks of a shape of its own."""
    if not 0 < len(curves) <= 3:
        raise ValueError(f"{len(curves)} curves: a chart shows one to three")
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for y in [*(y for _, y in curve.points), *(b for band in curve.band for b in band)]]
    figure = Figure(width, height + 150, title, description)
    figure.words(12, 24, title, kind="title")
    _legend(figure, [curve.name for curve in curves], 12, 46, line=True)
    axes = Axes(60, 84, width - 80, height, span(xs), span(ys))
    axes.draw(figure, x_label, y_label)
    for number, curve in enumerate(curves):
        places = [x for x, _ in curve.points]
        if curve.band:
            upper = [axes.place(x, high) for x, (_, high) in zip(places, curve.band, strict=True)]
            lower = [axes.place(x, low) for x, (low, _) in zip(places, curve.band, strict=True)]
            figure.path([*upper, *reversed(lower)], f"{series(number)} band", closed=True)
        figure.path([axes.place(x, y) for x, y in curve.points], f"{series(number)} curve")
        for x, y in curve.points:
            figure.mark(*axes.place(x, y), number, 3)
    return figure.text()


def _legend(figure: Figure, names: Sequence[str], x: float, y: float, *, line: bool) -> None:
    for number, name in enumerate(names):
        if line:
            figure.path([(x, y - 4), (x + 16, y - 4)], f"{series(number)} curve")
        figure.mark(x + 8, y - 4, number)
        figure.words(x + 22, y, name)
        x += 40 + _LETTER * len(name)
