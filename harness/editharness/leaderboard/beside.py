"""Papers' figures next to ours: for each row of a board, what a paper claims of it, and which settings differ.

Claims are chosen, never mixed: of the figures for a row, those whose settings differ from the run's in fewest places.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from editharness.leaderboard.board import Board, BoardRow, Heading
from editharness.leaderboard.claims import Claim, Settings
from editharness.stats import ColumnScore

MARK = "claimed by the paper, not measured here"


@dataclass(frozen=True)
class Group:
    """The figures of one paper for one method under one set of settings, and the names of the settings that differ."""

    claims: tuple[Claim, ...]
    differs: tuple[str, ...]

    @property
    def label(self) -> str:
        """Which model, which data, which tables."""
        first = self.claims[0]
        tables = sorted({claim.settings.table for claim in self.claims}, key=lambda table: (len(table), table))
        return f"paper: {first.model}, {first.data}, table {'+'.join(tables)}"


@dataclass(frozen=True)
class Beside:
    """One measured row with the claims closest to it."""

    row: BoardRow
    groups: tuple[Group, ...]


def beside(board: Board, claims: Iterable[Claim]) -> tuple[Beside, ...]:
    """The board's rows of which some paper claims something in one of the board's columns, in the board's order."""
    columns = {heading.name for heading in board.columns}
    own: dict[str, list[Claim]] = {}
    for claim in claims:
        if claim.protocol == board.key.protocol and claim.column in columns:
            own.setdefault(claim.method, []).append(claim)
    pairs = [(row, _closest(row, board, own.get(_method(row), ()))) for row in board.rows]
    return tuple(Beside(row, groups) for row, groups in pairs if groups)


def _method(row: BoardRow) -> str:
    """The method's own name; a row's may have options added to tell twins apart."""
    return row.records[0].method.name if row.records else row.name


def _closest(row: BoardRow, board: Board, claims: Sequence[Claim]) -> tuple[Group, ...]:
    grouped: dict[tuple[str, str, Settings], list[Claim]] = {}
    for claim in claims:
        grouped.setdefault((claim.model, claim.data, replace(claim.settings, table="")), []).append(claim)
    groups = [Group(tuple(found), differing(row, board, found[0])) for found in grouped.values()]
    fewest = min((len(group.differs) for group in groups), default=0)
    return tuple(group for group in groups if len(group.differs) == fewest)


def differing(row: BoardRow, board: Board, claim: Claim) -> tuple[str, ...]:
    """The settings in which the run of a row is not the paper's; an unedited model has no edits to differ in."""
    key, settings = board.key, claim.settings
    same = {"model": _same_model(key.model, claim.models), "data": key.data in claim.data_names}
    if row.kind == "method":
        preset = row.records[0].method.preset
        same |= {
            "schedule": key.schedule == settings.schedule,
            "edits": key.edits == settings.edits,
            "preset": preset.name == settings.preset,
            "options": _same_options(settings.options, row.records[0].method.options, preset.overridden),
        }
    unlike = [name for name, alike in same.items() if not alike]
    return (*unlike, *((settings.elsewhere,) if settings.elsewhere else ()))


def _same_model(name: str, known: Sequence[str]) -> bool:
    """A hub id, a folder or a short name; the last part decides, as a local copy has no owner."""
    last = name.replace("\\", "/").rstrip("/").split("/")[-1].casefold()
    return last in {other.split("/")[-1].casefold() for other in known}


def _same_options(claimed: str, options: Mapping[str, Any], overridden: Sequence[str]) -> bool:
    name, _, value = claimed.partition("=")
    return set(overridden) <= {name} and (not name or str(options.get(name)).casefold() == value)


def as_board(board: Board, found: Sequence[Beside]) -> Board:
    """Measured rows and claims in turn, as the rows of a table; `tier` keeps together what belongs together."""
    named = {claim.column for one in found for group in one.groups for claim in group.claims}
    columns = tuple(replace(heading, n=0) for heading in board.columns if heading.name in named)
    rows = [row for number, one in enumerate(found) for row in _rows(one, columns, number)]
    return Board(board.key, columns, tuple(rows), None, _notes(board, found))


def _rows(one: Beside, columns: Sequence[Heading], number: int) -> list[BoardRow]:
    cells = {heading.name: one.row.cells[heading.name] for heading in columns if heading.name in one.row.cells}
    ours = replace(one.row, cells=cells, rank=None, tier=number, seconds_per_edit=None)
    better = {heading.name: heading for heading in columns}
    claimed = [
        BoardRow(
            name=group.label,
            kind="claim",
            cells={claim.column: _cell(claim, better[claim.column]) for claim in group.claims},
            badges=(f"differs in {', '.join(group.differs)}" if group.differs else "same settings",),
            tier=number,
        )
        for group in one.groups
    ]
    return [ours, *claimed]


def _cell(claim: Claim, heading: Heading) -> ColumnScore:
    return ColumnScore(heading.name, heading.title, heading.better, claim.value, None, None, 0)


def _notes(board: Board, found: Sequence[Beside]) -> tuple[str, ...]:
    """Whose settings the figures have, ours, and where a printed figure is not what its own row gives."""
    claims = [claim for one in found for group in one.groups for claim in group.claims]
    sources = dict.fromkeys(source_line(claim.settings) for claim in claims)
    key = board.key
    ours = f"ours: model {key.model}, data {key.data}, {key.edits} edits, {key.schedule}, preset {key.preset or 'none'}"
    misprints = [
        f"{claim.model} {claim.data} {claim.method}: prints {claim.column} {100 * claim.printed:.1f}, "
        f"its own figures give {100 * claim.value:.1f}"
        for claim in claims
        if claim.printed is not None
    ]
    return (ours, *sources, *dict.fromkeys(misprints))


def source_line(settings: Settings) -> str:
    """The paper with its settings, in one line."""
    options = f", {settings.options}" if settings.options else ""
    return (
        f"{settings.paper}, table {settings.table}: {settings.edits} edits, {settings.schedule}, "
        f"preset {settings.preset}{options}; scored by {settings.scorer}"
    )


def as_data(board: Board, found: Sequence[Beside]) -> list[dict[str, Any]]:
    """One entry per figure: method, column, ours, the paper's, and what differs."""
    return [
        {
            "method": one.row.name,
            "column": claim.column,
            "ours": _ours(board, one.row, claim.column),
            "claimed": {
                "value": claim.value,
                "printed": claim.printed,
                "model": claim.model,
                "data": claim.data,
                "settings": claim.settings,
            },
            "differs": list(group.differs),
        }
        for one in found
        for group in one.groups
        for claim in group.claims
    ]


def _ours(board: Board, row: BoardRow, column: str) -> dict[str, Any]:
    cell, key = row.cells.get(column), board.key
    scores = {"value": cell.value, "low": cell.low, "high": cell.high, "n": cell.n} if cell else {"value": None}
    preset = row.records[0].method.preset.name if row.records else ""
    settings = {"schedule": key.schedule, "edits": key.edits, "preset": preset}
    return {**scores, "model": key.model, "data": key.data, **settings}
