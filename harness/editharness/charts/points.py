"""Scatter plot: groups of points, told apart by a legend or by names beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editharness.charts.axes import Axes, Range, legend, span
from editharness.charts.labels import Box, beside, extent
from editharness.charts.svg import Figure, Heading, Look, Place, looks

_SIDE, _NAMED_SIDE, _GAP = 320, 480, 70


@dataclass(frozen=True)
class Group:
    """Points under one name; `bars`: the intervals (of x, of y) of each point, where there are some.

    `muted`: in grey, as something to compare with.
    """

    name: str
    points: Sequence[Place]
    bars: Sequence[tuple[Range, Range]] = ()
    muted: bool = False


@dataclass(frozen=True)
class Panel:
    """One scatter plot of a figure; ranges that are not given hold all points."""

    x_label: str
    y_label: str
    groups: Sequence[Group]
    x_range: Range | None = None
    y_range: Range | None = None


def scatter(panels: Sequence[Panel], *, heading: Heading, note: str = "", named: bool = False) -> str:
    """Scatter plots side by side; groups differ in shape and in colour.

    One legend is for all panels, which have the same groups; `named`: each group's name stands beside its first point
    instead. Raises ValueError where there is nothing to draw.
    """
    groups = panels[0].groups
    if not groups:
        raise ValueError("a scatter plot needs one group at least")
    side = _NAMED_SIDE if named else _SIDE
    margin = max(extent(group.name, 11) for group in groups) + 20 if named else _GAP
    figure = Figure(_GAP + len(panels) * (side + _GAP) - _GAP + margin, heading)
    styles = looks([group.muted for group in groups])
    if not named:
        legend(figure, [(group.name, style) for group, style in zip(groups, styles, strict=True)], line=False)
    top = figure.bottom + 40
    for index, panel in enumerate(panels):
        _panel(figure, panel, styles, _GAP + index * (side + _GAP), top, side, margin if named else None)
    figure.bottom += 6
    figure.paragraph(note)
    return figure.text()


def _panel(
    figure: Figure, panel: Panel, styles: Sequence[Look], left: float, top: float, side: float, margin: float | None
) -> None:
    """One panel; with a margin for them, with names."""
    points = [point for group in panel.groups for point in group.points]
    x, y = panel.x_range or span([x for x, _ in points]), panel.y_range or span([y for _, y in points])
    axes = Axes(left, top, side, side, x, y)
    axes.draw(figure, panel.x_label, panel.y_label)
    pairs = list(zip(panel.groups, styles, strict=True))
    for group, style in pairs:
        for point, bars in zip(group.points, group.bars, strict=False):
            _bars(figure, axes, point, bars, style)
    for group, style in pairs:
        for point in group.points:
            figure.mark(*axes.place(*point), style)
    if margin is not None:
        area = Box(left + 2, top + 2, left + side + margin - 4, top + side - 2)
        _names(figure, [group.name for group in panel.groups], [axes.place(*g.points[0]) for g in panel.groups], area)


def _bars(figure: Figure, axes: Axes, point: Place, bars: tuple[Range, Range], style: Look) -> None:
    """The two intervals, as a cross; the upright one ends with the axes."""
    (low, high), (under, over) = bars
    ends = (point[0], axes.within(under)), (point[0], axes.within(over))
    for start, end in (((low, point[1]), (high, point[1])), ends):
        figure.line(axes.place(*start), axes.place(*end), f"{style.colour} bar")


def _names(figure: Figure, names: Sequence[str], places: Sequence[Place], area: Box) -> None:
    labels = beside(places, names, area)
    for label in labels:
        if label.lead:
            figure.line(*label.lead)
    for name, label in zip(names, labels, strict=True):
        figure.words(label.x, label.y, name, kind="name")
