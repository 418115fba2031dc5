"""Heat map: a table of numbers as coloured cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from editharness.charts.labels import extent
from editharness.charts.svg import Figure, Heading

_CELL, _ROW = 46, 26
_VISIBLE = 0.01
"""A colour of less strength than this cannot be told from none, and needs no place in the legend."""


def two_decimals(value: float) -> str:
    """ ".42", "-.07", "1.30": two decimals, and no nought before the point."""
    text = f"{value:.2f}"
    return text.replace("-0.00", "0.00").replace("0.", ".") if abs(value) < 1 else text


def heat_map(
    values: Sequence[Sequence[float | None]], rows: Sequence[str], columns: Sequence[str], *,
    heading: Heading, x_label: str, legend: str,
    show: Callable[[float], str] = two_decimals, notes: Sequence[Sequence[str]] = (), largest: float | None = None,
) -> str:  # fmt: skip
    """`values` [rows][columns] as cells with their numbers; blue above zero, orange below, none at zero; None: empty.

    The colour's strength goes with |value|, up to `largest` (default: what is); the legend names that. `show` makes
    numbers text; `notes` [rows][columns] stand behind it.
    """
    there = [value for row in values for value in row if value is not None]
    top = max(map(abs, there), default=0.0) if largest is None else largest
    said = [[show(v) + (notes[i][j] if notes else "") if v is not None else "" for j, v in enumerate(row)]
            for i, row in enumerate(values)]  # fmt: skip
    cell = max(_CELL, 8 + max((extent(text, 11) for text in [*columns, *(t for row in said for t in row)]), default=0))
    left = 20 + max(map(extent, rows), default=0)
    body = cell * len(columns)
    figure = Figure(max(left + body + 20, left + 5 * cell + 20, 420), heading)
    # over its columns, but never to the left of them
    figure.words(max(left + body / 2, left + extent(x_label) / 2), figure.bottom + 24, x_label, "middle")
    figure.bottom += 42
    for index, column in enumerate(columns):
        figure.words(left + cell * (index + 0.5), figure.bottom, column, "middle", "small")
    figure.bottom += 8
    for name, row, texts in zip(rows, values, said, strict=True):
        figure.words(left - 8, figure.bottom + 17, name, "end")
        for index, (value, text) in enumerate(zip(row, texts, strict=True)):
            if value is not None:
                _cell(figure, left + cell * index, cell, value, top, text)
        figure.bottom += _ROW
    _scale(figure, left, cell, top, show, negative=any(v < -_VISIBLE * top for v in there))
    figure.paragraph(legend)
    return figure.text()


def _cell(figure: Figure, x: float, width: float, value: float, largest: float, text: str) -> None:
    strength = min(1.0, abs(value) / largest) if largest else 0.0
    kind = "up" if value >= 0 else "down"
    figure.rect(x + 1, figure.bottom + 1, width - 2, _ROW - 2, kind, opacity=round(strength, 3))
    figure.words(x + width / 2, figure.bottom + 17, text, "middle", "small")


def _scale(
    figure: Figure, x: float, width: float, largest: float, show: Callable[[float], str], *, negative: bool
) -> None:
    """The legend: cells from the lowest to the highest value with their numbers."""
    figure.bottom += 16
    shares = (-1.0, -0.5, 0.0, 0.5, 1.0) if negative else (0.0, 0.25, 0.5, 0.75, 1.0)
    for index, share in enumerate(shares):
        _cell(figure, x + width * index, width, share * largest, largest, show(share * largest))
    figure.bottom += _ROW
