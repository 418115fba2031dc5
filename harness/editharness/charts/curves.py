"""Line chart: curves with the intervals of their points as bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from editharness.charts.axes import Axes, Range, legend, span
from editharness.charts.svg import Figure, Heading, Look, looks


@dataclass(frozen=True)
class Spot:
    """A point of a curve with its interval, where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None

    @property
    def band(self) -> Range:
        """The interval; of a point without one, the point."""
        return (self.y if self.low is None else self.low), (self.y if self.high is None else self.high)


@dataclass(frozen=True)
class Line:
    """One curve; it ends at a None and begins anew behind it."""

    name: str
    points: Sequence[Spot | None]
    muted: bool = False


def lines_with_bands(
    curves: Sequence[Line], *, heading: Heading, x_label: str, y_label: str,
    x_range: Range | None = None, y_range: Range | None = None, width: float = 660, height: float = 300,
) -> str:  # fmt: skip
    """Curves that differ in colour, in the shape of their points and, beyond the eighth, in dashes.

    Ranges that are not given hold all points and intervals; a band ends at a given range. Raises ValueError where there
    is nothing to draw.
    """
    spots = [spot for curve in curves for spot in curve.points if spot]
    if not spots:
        raise ValueError("a line chart needs one point at least")
    figure = Figure(width, heading)
    styles = looks([curve.muted for curve in curves])
    legend(figure, [(curve.name, style) for curve, style in zip(curves, styles, strict=True)], line=True)
    x = x_range or span([spot.x for spot in spots])
    y = y_range or span([value for spot in spots for value in (spot.y, *spot.band)])
    axes = Axes(60, figure.bottom + 38, width - 90, height, x, y)
    axes.draw(figure, x_label, y_label)
    for curve, style in zip(curves, styles, strict=True):
        for there, part in groupby(curve.points, key=lambda spot: spot is not None):
            if there:
                _part(figure, axes, [spot for spot in part if spot], style, min(0.15, 0.6 / len(curves)))
    return figure.text()


def _part(figure: Figure, axes: Axes, spots: Sequence[Spot], style: Look, opacity: float) -> None:
    """Points without a gap between them, over a band of this opacity."""
    if len(spots) > 1 and any(spot.low is not None for spot in spots):
        upper = [axes.place(spot.x, axes.within(spot.band[1])) for spot in spots]
        lower = [axes.place(spot.x, axes.within(spot.band[0])) for spot in spots]
        figure.band([*upper, *reversed(lower)], style, opacity)
    elif spots[0].low is not None:
        low, high = spots[0].band
        figure.line(axes.place(spots[0].x, low), axes.place(spots[0].x, high), f"{style.colour} bar")
    if len(spots) > 1:
        figure.curve([axes.place(spot.x, spot.y) for spot in spots], style)
    for spot in spots:
        figure.mark(*axes.place(spot.x, spot.y), style, 3)
