"""What is shown over the number of edits, as tables: lines (method x edits) and matrices (checkpoint x cohort)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from editharness.leaderboard.board import Board, BoardRow
from editharness.leaderboard.tables import Cell, Line, SmallTable, cell_of
from editharness.stats import PointScore, SeriesScore

Owned = tuple[BoardRow, SeriesScore]


def lines(board: Board) -> dict[str, list[Owned]]:
    """Series without cohorts, by name, each with the rows that have it."""
    return _by_name(board, matrix=False)


def matrices(board: Board) -> dict[str, list[Owned]]:
    """Series with cohorts, by name, each with the rows that have it."""
    return _by_name(board, matrix=True)


def series_tables(board: Board) -> list[SmallTable]:
    """All of a board's series: a table per line, with the methods below each other; one per matrix and method."""
    found = [_line_table(name, owned) for name, owned in lines(board).items()]
    found += [_matrix_table(row, series) for owned in matrices(board).values() for row, series in owned]
    return found


def has_curves(board: Board) -> bool:
    """Whether something was measured at more than two numbers of edits (the text loss alone always is at two)."""
    return any(len(checkpoints([series])) > 2 for row in board.rows for series in row.series)


def checkpoints(series: Iterable[SeriesScore]) -> list[int]:
    """The numbers of edits at which some of the series have points."""
    return sorted({point.edits for one in series for point in one.points})


def cohorts(series: SeriesScore) -> list[tuple[int, int]]:
    """The cohorts of a matrix, in order."""
    return sorted({point.cohort for point in series.points if point.cohort is not None})


def _by_name(board: Board, *, matrix: bool) -> dict[str, list[Owned]]:
    found: dict[str, list[Owned]] = {}
    for row in board.rows:
        for series in row.series:
            if any(point.cohort is not None for point in series.points) == matrix:
                found.setdefault(series.name, []).append((row, series))
    return found


def _line_table(name: str, owned: Sequence[Owned]) -> SmallTable:
    first = owned[0][1]
    at = checkpoints(series for _, series in owned)
    points = [{point.edits: point for point in series.points} for _, series in owned]
    told = {edits: _same_n([own[edits] for own in points if edits in own]) for edits in at}
    heads = ["row", *(f"{edits} edits" + (f"\nn={told[edits]}" if told[edits] else "") for edits in at)]
    rows: list[Line] = [
        [row.name, *(_cell(own.get(edits), first.unit, told[edits]) for edits in at)]
        for (row, _), own in zip(owned, points, strict=True)
    ]
    return SmallTable(name, first.title, heads, rows)


def _matrix_table(row: BoardRow, series: SeriesScore) -> SmallTable:
    points = {(point.edits, point.cohort): point for point in series.points}
    groups = cohorts(series)
    told = {cohort: _same_n([p for (_, own), p in points.items() if own == cohort]) for cohort in groups}
    heads = [
        "asked after",
        *(
            f"facts {first}-{last}" + (f"\nn={told[first, last]}" if told[first, last] else "")
            for first, last in groups
        ),
    ]
    rows: list[Line] = [
        [f"{edits} edits", *(_cell(points.get((edits, cohort)), series.unit, told[cohort]) for cohort in groups)]
        for edits in checkpoints([series])
    ]
    return SmallTable(f"{series.name} of {row.name}", series.title, heads, rows)


def _same_n(points: Sequence[PointScore]) -> int | None:
    """The n that all points share, if they do."""
    counts = {point.n for point in points if point.n}
    return counts.pop() if len(counts) == 1 else None


def _cell(point: PointScore | None, unit: str, told: int | None) -> Cell:
    if point is None:
        return Cell("")
    cell = cell_of(point, unit)
    return cell if told or not point.n else Cell(cell.value, f"{cell.interval} n={point.n}")
