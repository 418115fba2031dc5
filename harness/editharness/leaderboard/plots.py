"""Plots of what runs measured over the number of edits, from records alone: lines with bands, retention heat maps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from editharness.errors import RecordError, UsageError
from editharness.leaderboard.board import Board, BoardRow
from editharness.leaderboard.series import Owned, checkpoints, cohorts, lines, matrices
from editharness.leaderboard.svg import Axes, Figure, colour
from editharness.leaderboard.text import caption, percent, plain
from editharness.stats import PointScore, SeriesScore
from editharness.store.write import check_writable, replacing

_CELL, _ROW, _TOP, _LETTER = 74, 30, 76, 7.0


def write_plots(made: Sequence[Board], folder: Path) -> list[Path]:
    """Write every plot of these boards as SVG into `folder`; returns the files. RecordError where there is none."""
    drawn: dict[str, str] = {}
    for board in made:
        for name, text in plots(board):
            drawn[name if name not in drawn else f"{name}-{len(drawn)}"] = text
    if not drawn:
        raise RecordError("these records hold nothing over the number of edits: run a task such as sequential_pocket")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--plots {folder}: is a file; name a folder")
    check_writable(folder)
    files = []
    for name, text in drawn.items():
        with replacing(folder / f"{name}.svg") as out:
            out.write(text.encode("utf-8"))
        files.append(folder / f"{name}.svg")
    return files


def plots(board: Board) -> Iterator[tuple[str, str]]:
    """(file name without ending, SVG) of every line that a board's methods share, and of each method's matrices."""
    key = board.key
    about = f"{key.task}-{key.model}-{key.schedule}-{key.edits}" + (f"-{key.preset}" if key.preset else "")
    for name, owned in lines(board).items():
        yield _slug(f"{about}-{name}"), line_chart(name, owned, board)
    for name, owned in matrices(board).items():
        for row, series in owned:
            yield _slug(f"{about}-{name}-{row.name}"), heat_map(name, row, series, board)


def line_chart(name: str, owned: Sequence[Owned], board: Board) -> str:
    """One curve per method with its 95 % band; shares run from 0 to 100 %, other units over what was measured."""
    first, shares = owned[0][1], owned[0][1].unit == "%"
    names = [plain(row.name, 40) for row, _ in owned]
    right = 30 + _LETTER * max(map(len, names))
    width, height = 640 + right, 420 + max(0, 20 * len(owned) - 300)
    figure = Figure(width, height, f"{name} over the number of edits", f"{first.title}; {caption(board)}")
    _titles(figure, f"{name}: {first.title}", board)
    at = checkpoints(series for _, series in owned)
    scale = 100.0 if shares else 1.0
    values = [scale * v for _, s in owned for p in s.points for v in (p.low, p.value, p.high) if v is not None]
    y = (0.0, 100.0) if shares else _range(values)
    axes = Axes(60, _TOP, 560, height - 140, _range(at, least=0), y)
    axes.draw(figure, "edits written", "%" if shares else first.unit)
    for number, (label, (_, series)) in enumerate(zip(names, owned, strict=True)):
        _curve(figure, axes, series, number, scale)
        _key(figure, 636, _TOP + 8 + 20 * number, label, number)
    return figure.text()


def heat_map(name: str, row: BoardRow, series: SeriesScore, board: Board) -> str:
    """Checkpoints below each other, cohorts side by side; the darker, the more is retained."""
    at, groups = checkpoints([series]), cohorts(series)
    points = {(point.edits, point.cohort): point for point in series.points}
    left = 130
    width, height = max(560, left + _CELL * len(groups) + 30), _TOP + 20 + _ROW * len(at) + 60
    title = f"{name} of {row.name}: {series.title}"
    figure = Figure(width, height, title, f"rows: asked after so many edits; columns: facts written; {caption(board)}")
    _titles(figure, title, board)
    for index, (first, last) in enumerate(groups):
        figure.words(left + _CELL * (index + 0.5), _TOP + 14, f"{first}-{last}", "middle", "small")
    for number, edits in enumerate(at):
        y = _TOP + 20 + _ROW * number
        figure.words(left - 10, y + 20, f"after {edits} edits", "end", "small")
        for index, cohort in enumerate(groups):
            _heat(figure, left + _CELL * index, y, points.get((edits, cohort)))
    bottom = _TOP + 20 + _ROW * len(at)
    figure.words(
        left + _CELL * len(groups) / 2, bottom + 20, "facts, by the place at which they were written", "middle"
    )
    figure.words(left + _CELL * len(groups) / 2, bottom + 40, "values in %, with n", "middle", "small")
    return figure.text()


def _titles(figure: Figure, title: str, board: Board) -> None:
    key = board.key
    figure.words(12, 24, plain(title, int(figure.width / 8)), kind="title")
    about = f"{key.protocol}, data {key.data}, model {key.model}, schedule {key.schedule}, {key.edits} edits"
    figure.words(12, 42, plain(about, int(figure.width / 6)), kind="small")


def _curve(figure: Figure, axes: Axes, series: SeriesScore, number: int, scale: float) -> None:
    """A method's points; where a value is missing (nothing asked, or a loss that is not finite) the line ends."""
    for part in _unbroken(series.points):
        upper = [axes.place(p.edits, _inside(scale * (p.high or 0.0), axes)) for p in part]
        lower = [axes.place(p.edits, _inside(scale * (p.low or 0.0), axes)) for p in part]
        middle = [axes.place(p.edits, scale * (p.value or 0.0)) for p in part]
        figure.band([*upper, *reversed(lower)], number)
        figure.curve(middle, number)
        for x, y in middle:
            figure.add("circle", "", cx=x, cy=y, r=3, fill=colour(number))


def _unbroken(points: Sequence[PointScore]) -> list[list[PointScore]]:
    parts: list[list[PointScore]] = [[]]
    for point in points:
        if point.value is None:
            parts.append([])
        else:
            parts[-1].append(point)
    return [part for part in parts if part]


def _key(figure: Figure, x: float, y: float, label: str, number: int) -> None:
    figure.curve([(x, y - 4), (x + 18, y - 4)], number)
    figure.words(x + 24, y, label)


def _heat(figure: Figure, x: float, y: float, point: PointScore | None) -> None:
    if point is None or point.value is None:
        return
    strength = round(min(1.0, max(0.0, point.value)), 3)
    figure.add("rect", "heat", x=x + 1, y=y + 1, width=_CELL - 2, height=_ROW - 2, opacity=f"{strength:g}")
    figure.words(x + _CELL / 2, y + 19, f"{percent(point.value)} (n={point.n})", "middle", "small")


def _range(values: Sequence[float], least: float | None = None) -> tuple[float, float]:
    """A range that holds all values; never empty. `least`: it begins there."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    low = low if least is None else least
    room = 0.05 * (high - low) or max(1e-6, 0.05 * abs(high))
    return (low if least is not None else low - room), high + room


def _inside(value: float, axes: Axes) -> float:
    return min(max(value, axes.y[0]), axes.y[1])


def _slug(text: str) -> str:
    """A name as a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:150] or "plot"
