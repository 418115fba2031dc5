"""Records -> boards: comparable runs grouped, seeds pooled, controls shown whatever was run, ranks as ranges."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from editharness.leaderboard.board import CONTROLS, FLOOR, Board, BoardKey, BoardRow, Entry, Heading
from editharness.leaderboard.pooling import Kept, Pool
from editharness.stats import ColumnScore, SeriesScore
from editharness.store import RunRecord

_RANKED_BY = "rectified"
_SAME = 1e-6


def boards(entries: Iterable[Entry | RunRecord], kept: Kept | None = None) -> list[Board]:
    """All boards of these runs, sorted by what they compare. The order of `entries` does not matter.

    `kept` spares reading scores that were pooled before; it changes no number.
    """
    known = [one if isinstance(one, Entry) else Entry(one) for one in entries]
    known.sort(key=lambda one: (one.record.created, one.record.id))
    groups: dict[BoardKey, list[Entry]] = defaultdict(list)
    for entry in known:
        groups[board_key(entry.record)].append(entry)
    families: dict[BoardKey, list[BoardKey]] = defaultdict(list)
    for key in groups:
        families[replace(key, preset="")].append(key)
    pool, made = Pool(kept), []
    for key, own in groups.items():
        siblings = families[replace(key, preset="")]
        if not key.preset and len(siblings) > 1:
            continue  # runs without a preset join the boards of those that have one
        members = [*own, *(groups[replace(key, preset="")] if key.preset and replace(key, preset="") in groups else ())]
        made.append(_board(key, members, [entry for sibling in siblings for entry in groups[sibling]], pool))
    return sorted(made, key=lambda board: board.key)


def board_key(record: RunRecord) -> BoardKey:
    """What two runs must share to be compared."""
    return BoardKey(
        task=record.task,
        model=record.model.name,
        model_revision=record.model.revision or "",
        model_digest=record.model.digest_before,
        data=record.data.name,
        data_sha256=record.data.sha256,
        protocol=record.protocol.name,
        protocol_version=record.protocol.version,
        protocol_hash=record.protocol.hash,
        schedule=record.schedule.asked,
        edits=record.schedule.edits,
        preset="" if record.method.name in CONTROLS else record.method.preset.name,
    )


def _board(key: BoardKey, members: Sequence[Entry], neighbours: Sequence[Entry], pool: Pool) -> Board:
    """One board: methods from `members`, controls from all runs that differ in nothing but the preset."""
    notes: list[str] = []
    pool.enveloped = False
    controls = _controls(neighbours, pool, notes)
    methods = [_method_row(entries, pool, notes) for entries in _variants(members)]
    headings = _headings(
        [entry.record for entry in members] or [entry.record for entry in neighbours], controls, methods
    )
    ranked_by = _ranked_by([entry.record for entry in members], headings)
    methods = _label_twins(_sorted(methods, controls, headings, ranked_by))
    if pool.enveloped:
        notes.append("intervals over seeds without kept scores are the envelope of the seeds' intervals")
    return Board(key, headings, (*controls, *methods), ranked_by, tuple(dict.fromkeys(notes)))


def _variants(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Runs that differ in nothing but the seed, together; a control run as a method is not one of them."""
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        method = entry.record.method
        if method.name in CONTROLS:
            continue
        same = [method.name, method.distribution, method.version, method.preset.name, entry.record.partial]
        found[json.dumps([*same, method.options], sort_keys=True)].append(entry)
    return [found[key] for key in sorted(found)]


def _newest_per_seed(entries: Sequence[Entry]) -> list[Entry]:
    """One run per seed, the last written; `entries` are in order of time."""
    return [entry for _, entry in sorted({entry.record.schedule.seed: entry for entry in entries}.items())]


def _method_row(entries: Sequence[Entry], pool: Pool, notes: list[str]) -> BoardRow:
    chosen = _newest_per_seed(entries)
    name = chosen[0].record.method.name
    if len(chosen) < len(entries):
        notes.append(f"{name}: {len(entries) - len(chosen)} older run(s) of the same seed left out")
    rows = [row.row for row in chosen[0].record.rows if row.kind == "method"]
    records = tuple(entry.record for entry in chosen)
    seconds = [s for record in records if (s := record.cost.seconds_per_edit) is not None]
    return BoardRow(
        name=name,
        kind="method",
        cells=_cells(rows[0], chosen, pool) if rows else {},
        badges=_badges(records),
        seeds=tuple(record.schedule.seed for record in records),
        seconds_per_edit=sum(seconds) / len(seconds) if seconds else None,
        records=records,
        series=_series(rows[0], chosen, pool) if rows else (),
    )


def _badges(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """What a reader must know before believing the row."""
    first, preset = records[0], records[0].method.preset
    left_out = Counter[str]()
    for record in records:
        left_out.update(failed=record.statuses.failed, skipped=record.statuses.skipped)
    unrestored = any(record.model.digest_before != record.model.digest_after for record in records)
    marks = [
        "partial" if first.partial else "",
        preset.name,
        "" if preset.tuned else "untuned",
        f"set {', '.join(preset.overridden)}" if preset.overridden else "",
        f"ran as {first.schedule.effective}" if first.schedule.effective != first.schedule.asked else "",
        f"sees {', '.join(first.method.sees)}" if first.method.sees else "",
        f"trained on {first.training.cases} cases" if first.training else "",
        f"{len(records)} seeds" if len(records) > 1 else "",
        *(f"{count} {what}" for what, count in left_out.items() if count),
        *_collapses(records),
        "model not restored" if unrestored else "",
    ]
    return tuple(mark for mark in marks if mark)


def _collapses(records: Sequence[RunRecord]) -> list[str]:
    """Arms whose model was no better than a uniform guess, with the number of edits, the fewest over the seeds."""
    found: dict[str, int] = {}
    for record in records:
        for arm, edits in record.health.collapsed.items() if record.health else ():
            found[arm] = min(edits, found.get(arm, edits))
    several = len({arm for record in records if record.health for arm in record.health.collapsed}) > 1
    return [f"collapsed after {edits}" + (f" ({arm})" if several else "") for arm, edits in sorted(found.items())]


def _controls(entries: Sequence[Entry], pool: Pool, notes: list[str]) -> list[BoardRow]:
    """The control rows: always the six, then any other that a protocol brought. One run per seed speaks for all."""
    brought = [row.row for entry in entries for row in entry.record.rows if row.kind == "control"]
    names = dict.fromkeys((*CONTROLS, *brought))
    return [_control_row(name, entries, pool, notes) for name in names]


def _control_row(name: str, entries: Sequence[Entry], pool: Pool, notes: list[str]) -> BoardRow:
    row, with_it = name, [entry for entry in entries if _has(entry, name, "control")]
    if not with_it:  # `--method none` makes the same row as a run of its own
        with_it = [entry for entry in entries if entry.record.method.name == name]
        row = next((r.row for entry in with_it for r in entry.record.rows if r.kind == "method"), name)
    full = [entry for entry in with_it if not entry.record.partial]
    chosen = _newest_per_seed(full or with_it)
    for entry in full:
        speaker = next(one for one in chosen if one.record.schedule.seed == entry.record.schedule.seed)
        if entry.record.method.name not in CONTROLS and not _agree(entry, speaker, row):
            notes.append(f"control {name} differs between runs of seed {entry.record.schedule.seed}")
    badges = ("not run",) if not with_it else () if full else ("partial",)
    seeds = tuple(entry.record.schedule.seed for entry in chosen)
    return BoardRow(name, "control", _cells(row, chosen, pool), badges, seeds)


def _has(entry: Entry, name: str, kind: str) -> bool:
    row = entry.record.row(name)
    return row is not None and row.kind == kind


def _agree(left: Entry, right: Entry, row: str) -> bool:
    one, other = left.record.row(row), right.record.row(row)
    if one is None or other is None:
        return True
    known = {cell.name: cell.value for cell in other.columns}
    pairs = [(cell.value, known[cell.name]) for cell in one.columns if cell.name in known]
    return all((a is None) == (b is None) and abs((a or 0.0) - (b or 0.0)) <= _SAME for a, b in pairs)


def _cells(row: str, entries: Sequence[Entry], pool: Pool) -> dict[str, ColumnScore]:
    names = dict.fromkeys(
        cell.name for entry in entries for r in entry.record.rows if r.row == row for cell in r.columns
    )
    pooled = {name: pool.column(row, name, entries) for name in names}
    return {name: cell for name, cell in pooled.items() if cell is not None}


def _series(row: str, entries: Sequence[Entry], pool: Pool) -> tuple[SeriesScore, ...]:
    found = (r.series for entry in entries for r in entry.record.rows if r.row == row)
    names = dict.fromkeys(series.name for own in found for series in own)
    pooled = (pool.series(row, name, entries) for name in names)
    return tuple(series for series in pooled if series is not None)


def _headings(
    records: Sequence[RunRecord], controls: Sequence[BoardRow], methods: Sequence[BoardRow]
) -> tuple[Heading, ...]:
    """Columns in the order of the records, with the n that most rows have."""
    rows = sorted((row for record in records for row in record.rows), key=lambda row: row.kind == "control")
    found = {cell.name: cell for row in reversed(rows) for cell in reversed(row.columns)}
    for row in controls:
        found = {**row.cells, **found}
    order = dict.fromkeys(cell.name for row in rows for cell in row.columns)
    counts = {name: _counts(name, methods) or _counts(name, controls) for name in found}
    return tuple(
        Heading(name, found[name].title, found[name].better, max(counts[name].items(), key=_most, default=(0, 0))[0])
        for name in (*order, *(name for name in found if name not in order))
    )


def _counts(name: str, rows: Sequence[BoardRow]) -> Counter[int]:
    return Counter(cell.n for row in rows if (cell := row.cells.get(name)) and cell.n)


def _most(item: tuple[int, int]) -> tuple[int, int]:
    n, rows = item
    return rows, n


def _ranked_by(records: Sequence[RunRecord], headings: Sequence[Heading]) -> str | None:
    """The column the protocol names; else rectified efficacy; else the first that should be high."""
    named = next((record.protocol.ranked_by for record in records if record.protocol.ranked_by), _RANKED_BY)
    better = {heading.name: heading.better for heading in headings}
    if better.get(named, "neither") != "neither":
        return named
    return next((heading.name for heading in headings if heading.better == "higher"), None)


def _sorted(
    methods: Sequence[BoardRow], controls: Sequence[BoardRow], headings: Sequence[Heading], ranked_by: str | None
) -> list[BoardRow]:
    """Methods best first: ranked rows, then partial ones, then those that lack a column; with ranks and warnings."""
    sign = -1.0 if any(h.name == ranked_by and h.better == "lower" for h in headings) else 1.0
    asked = [h.name for h in headings if any(row.value(h.name) is not None for row in methods)]
    marked = [_marked(row, controls, asked, ranked_by, sign) for row in methods]
    full = [row for row in marked if row.tier == 0]
    ranks = _ranks(full, ranked_by, sign)
    ranked = [replace(row, rank=rank) for row, rank in zip(full, ranks, strict=True)]
    ranked += [row for row in marked if row.tier > 0]
    return sorted(ranked, key=lambda row: (row.tier, -sign * (row.value(ranked_by) or 0.0), row.name))


def _marked(
    row: BoardRow, controls: Sequence[BoardRow], asked: Sequence[str], ranked_by: str | None, sign: float
) -> BoardRow:
    """The row with its tier and with what it lacks or falls below in its badges."""
    missing = [name for name in asked if row.value(name) is None]
    badges, own = list(row.badges), row.value(ranked_by)
    if missing:
        more = f" and {len(missing) - 2} more" if len(missing) > 3 else ""
        badges.append(f"not ranked: no {', '.join(missing[:2] if more else missing)}{more}")
    floors = {control.name: floor for control in controls if (floor := control.value(ranked_by)) is not None}
    below = [name for name in FLOOR if name in floors and own is not None and sign * own < sign * floors[name]]
    if below:
        badges.append(f"below {', '.join(below)}")
    tier = 2 if missing or own is None else 1 if "partial" in row.badges else 0
    return replace(row, badges=tuple(badges), tier=tier)


def _ranks(full: Sequence[BoardRow], ranked_by: str | None, sign: float) -> list[tuple[int, int]]:
    """The places that the intervals leave open: 1 + rows surely better, up to rows that are not surely worse."""
    bounds = [_bounds(row, ranked_by, sign) for row in full]
    lows, highs = sorted(low for low, _ in bounds), sorted(high for _, high in bounds)
    total = len(full)
    return [(1 + total - bisect_right(lows, high), total - bisect_left(highs, low)) for low, high in bounds]


def _bounds(row: BoardRow, ranked_by: str | None, sign: float) -> tuple[float, float]:
    cell = row.cells[ranked_by or ""]
    low, high = sorted((sign * (cell.low or 0.0), sign * (cell.high or 0.0)))
    return low, high


def _label_twins(rows: Sequence[BoardRow]) -> list[BoardRow]:
    """Rows of one method get the options, or the version, that tells them apart in their name."""
    shared = Counter(row.name for row in rows)
    return [replace(row, name=_told_apart(row, rows)) if shared[row.name] > 1 else row for row in rows]


def _told_apart(row: BoardRow, rows: Sequence[BoardRow]) -> str:
    twins = [_flat(other) for other in rows if other.name == row.name]
    own = _flat(row)
    differing = [k for k in own if any(json.dumps(t.get(k)) != json.dumps(own[k]) for t in twins)]
    return f"{row.name} ({', '.join(f'{k}={_short(own[k])}' for k in differing)})" if differing else row.name


def _flat(row: BoardRow) -> Mapping[str, Any]:
    method = row.records[0].method
    return {**method.options, "from": f"{method.distribution} {method.version}"}


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
