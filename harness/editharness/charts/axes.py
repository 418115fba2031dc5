"""A rectangle of the figure that shows a range of numbers, with ticks, grid and labels; and the legend above it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from editharness.charts.labels import extent
from editharness.charts.svg import Figure, Look, Place

Range = tuple[float, float]


@dataclass(frozen=True)
class Axes:
    """A rectangle in which the data range x0..x1, y0..y1 lies; y grows upwards."""

    left: float
    top: float
    width: float
    height: float
    x: Range
    y: Range

    def place(self, x: float, y: float) -> Place:
        """Where a point of the data stands in the figure."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def draw(self, figure: Figure, x_label: str, y_label: str) -> None:
        """Frame, ticks with their numbers, grid and labels."""
        bottom, right = self.top + self.height, self.left + self.width
        for value in ticks(*self.x):
            x, _ = self.place(value, self.y[0])
            figure.line((x, self.top), (x, bottom), "grid")
            figure.words(x, bottom + 16, f"{value:g}", "middle", "small")
        for value in ticks(*self.y):
            _, y = self.place(self.x[0], value)
            figure.line((self.left, y), (right, y), "grid")
            figure.words(self.left - 6, y + 4, f"{value:g}", "end", "small")
        figure.line((self.left, bottom), (right, bottom))
        figure.line((self.left, self.top), (self.left, bottom))
        figure.words(self.left + self.width / 2, bottom + 34, x_label, "middle")
        figure.words(self.left, self.top - 8, y_label)
        figure.bottom = max(figure.bottom, bottom + 36)

    def within(self, y: float) -> float:
        """The nearest value that the rectangle shows."""
        return min(max(y, self.y[0]), self.y[1])


def legend(figure: Figure, entries: Sequence[tuple[str, Look]], *, line: bool) -> None:
    """Marks with their names, side by side on as many lines as they need; `line`: on a piece of their curve."""
    x, y = 12.0, figure.bottom + 22
    for name, style in entries:
        room = 44 + extent(name)
        if x > 12 and x + room > figure.width:
            x, y = 12, y + 20
        if line:
            figure.curve([(x, y - 4), (x + 20, y - 4)], style)
        figure.mark(x + 10, y - 4, style)
        figure.words(x + 26, y, name)
        x += room
    figure.bottom = y


def span(values: Sequence[float], least: float | None = None) -> Range:
    """A range that holds all values with a little room; never empty. `least`: it begins there.

    Raises ValueError for numbers that are none.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError("a plot needs finite numbers")
    low, high = min(values) if least is None else least, max(values)
    room = 0.05 * (high - low) or max(1e-6, 0.05 * abs(low))
    return (low - room if least is None else low), high + room


def ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, about as many as wanted: steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]
