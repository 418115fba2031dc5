"""What records allow to be drawn: values over the edits, negation against locality, synthetic against WILD."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from editharness.charts.axes import Range, span
from editharness.charts.curves import Line, Spot, lines_with_bands
from editharness.charts.heat import heat_map, two_decimals
from editharness.charts.points import Group, Panel, scatter
from editharness.charts.svg import Heading
from editharness.errors import RecordError, UsageError
from editharness.leaderboard.board import Board, BoardRow
from editharness.leaderboard.series import Owned, checkpoints, cohorts, lines, matrices
from editharness.leaderboard.text import caption, compared, percent, plain, row_label
from editharness.leaderboard.wild_slope import pairs, slope
from editharness.stats import ColumnScore, PointScore, SeriesScore
from editharness.store.write import check_writable, replacing

NEGATION, LOCALITY = "PN", "unchanged"
"""The columns of the scatter plot: the target though asked negated; neighbours answered as before."""
_SHARES: Range = (0.0, 100.0)
_ROOM: Range = (-3.0, 103.0)
"""The same with room for marks at the ends."""


def write_plots(made: Sequence[Board], folder: Path) -> list[Path]:
    """Write every plot of these boards as SVG into `folder`; returns the files. RecordError where there is none."""
    drawn = all_plots(made)
    if not drawn:
        raise RecordError(
            f"these records hold nothing to draw: nothing over the number of edits (task sequential_pocket), no column "
            f"{NEGATION} with {LOCALITY} (negation_pocket), no synthetic_ task beside its wild_ one"
        )
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--plots {folder}: is a file; name a folder")
    check_writable(folder)
    files = []
    for name, text in drawn.items():
        with replacing(folder / f"{name}.svg") as out:
            out.write(text.encode("utf-8"))
        files.append(folder / f"{name}.svg")
    return files


def all_plots(made: Sequence[Board]) -> dict[str, str]:
    """File name without ending -> SVG, of every board by itself and of every synthetic board with its WILD one."""
    found = [plot for board in made for plot in plots(board)]
    for synthetic, wild in pairs(made):
        text = slope(synthetic, wild)
        if text is not None:
            found.append((_slug(f"{_about(wild)}-against-synthetic"), text))
    drawn: dict[str, str] = {}
    for name, text in found:
        drawn[name if name not in drawn else f"{name}-{len(drawn)}"] = text
    return drawn


def plots(board: Board) -> Iterator[tuple[str, str]]:
    """(file name without ending, SVG) of what one board holds."""
    for name, owned in lines(board).items():
        yield _slug(f"{_about(board)}-{name}"), line_chart(name, owned, board)
    for name, owned in matrices(board).items():
        for row, series in owned:
            yield _slug(f"{_about(board)}-{name}-{row.name}"), retention(name, row, series, board)
    against = negation_against_locality(board)
    if against is not None:
        yield _slug(f"{_about(board)}-negation-against-locality"), against


def line_chart(name: str, owned: Sequence[Owned], board: Board) -> str:
    """One curve per method with its 95 % band; shares run from 0 to 100 %, other units over what was measured."""
    first = owned[0][1]
    shares = first.unit == "%"
    curves = [Line(row_label(row), [_spot(point, _scale(series)) for point in series.points]) for row, series in owned]
    at = checkpoints(series for _, series in owned)
    return lines_with_bands(
        curves,
        heading=_heading(f"{name}: {first.title}", f"{name} over the number of edits: {first.title}", board),
        x_label="edits written",
        y_label="%" if shares else plain(first.unit, 40),
        x_range=span(at, least=0),
        y_range=_ROOM if shares else None,
    )


def _spot(point: PointScore, scale: float) -> Spot | None:
    """None where a value is missing (nothing asked, or a loss that is not finite): there the line ends."""
    if point.value is None:
        return None
    low, high = (None if bound is None else scale * bound for bound in (point.low, point.high))
    return Spot(point.edits, scale * point.value, low, high)


def retention(name: str, row: BoardRow, series: SeriesScore, board: Board) -> str:
    """Checkpoints below each other, cohorts side by side; the darker, the more is retained."""
    at, groups = checkpoints([series]), cohorts(series)
    points = {(point.edits, point.cohort): point for point in series.points}
    cells = [[points.get((edits, cohort)) for cohort in groups] for edits in at]
    shares = series.unit == "%"
    title = f"{name} of {row_label(row)}: {series.title}"
    said = f"{title}; rows: asked after so many edits; columns: facts, by the place at which they were written"
    return heat_map(
        [[point.value if point else None for point in line] for line in cells],
        [f"after {edits} edits" for edits in at],
        [f"{first}-{last}" for first, last in groups],
        heading=_heading(title, said, board),
        x_label="facts, by the place at which they were written",
        legend=f"values in {plain(series.unit, 40)}, with n",
        show=percent if shares else two_decimals,
        notes=[[f" (n={point.n})" if point else "" for point in line] for line in cells],
        largest=1.0 if shares else None,
    )


def negation_against_locality(board: Board) -> str | None:
    """PN over `unchanged`, a point per method with its 95 % intervals, controls in grey; None without such methods."""
    there = [row for row in board.rows if row.value(NEGATION) is not None and row.value(LOCALITY) is not None]
    if not any(row.kind == "method" for row in there):
        return None
    titles = {heading.name: plain(heading.title, 60) for heading in board.columns}
    groups, y_range = [_group(row) for row in there], _heights(there)
    inside = [group for group in groups if group.points[0][1] <= y_range[1]]
    above = [_told(group) for group in groups if group not in inside]
    panel = Panel(
        f"{LOCALITY}, %: {titles[LOCALITY]} (higher is better)",
        f"{NEGATION}, %: {titles[NEGATION]} (lower is better)",
        inside, _ROOM, y_range,
    )  # fmt: skip
    title = "Negation against locality: the lower right corner is best"
    said = f"{title}. {LOCALITY} and {NEGATION} in %: {'; '.join(map(_told, groups))}"
    note = "bars: 95 % intervals; grey: controls" + (f"; above the range: {'; '.join(above)}" if above else "")
    return scatter([panel], heading=_heading(title, said, board), note=note, named=True)


def _heights(rows: Sequence[BoardRow]) -> Range:
    """From nought to the highest interval of a method, with room for names; controls may lie above."""
    high = max(_bar(row.cells[NEGATION])[1] for row in rows if row.kind == "method")
    return -0.1 * max(high, 10), 1.03 * max(high, 10)


def _told(group: Group) -> str:
    x, y = group.points[0]
    return f"{group.name} at {x:.1f}, {y:.1f}"


def _group(row: BoardRow) -> Group:
    locality, negation = row.cells[LOCALITY], row.cells[NEGATION]
    point = 100 * (locality.value or 0.0), 100 * (negation.value or 0.0)
    return Group(row_label(row), [point], [(_bar(locality), _bar(negation))], muted=row.kind != "method")


def _bar(cell: ColumnScore) -> Range:
    """The interval in per cent; of a value without one, the value."""
    low, high = (100 * (cell.value or 0.0) if bound is None else 100 * bound for bound in (cell.low, cell.high))
    return low, high


def _scale(series: SeriesScore) -> float:
    return 100.0 if series.unit == "%" else 1.0


def _heading(title: str, said: str, board: Board) -> Heading:
    return Heading(plain(title, 200), f"{plain(said, 2000)}; {caption(board)}", compared(board))


def _about(board: Board) -> str:
    key = board.key
    return f"{key.task}-{key.model}-{key.schedule}-{key.edits}" + (f"-{key.preset}" if key.preset else "")


def _slug(text: str) -> str:
    """A name as a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:150] or "plot"
