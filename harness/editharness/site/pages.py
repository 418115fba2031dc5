"""What a page shows, as values; the templates only lay it out. Every text is a stranger's: made plain, then escaped."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from types import MappingProxyType

from editharness.leaderboard.beside import MARK, as_board, beside
from editharness.leaderboard.board import Board, BoardRow, Entry, Heading
from editharness.leaderboard.claims import Claim
from editharness.leaderboard.text import arrow, interval, percent, plain, rank, seconds
from editharness.site.excerpt import Asked
from editharness.site.standing import MEANING, Standing, badges, told
from editharness.stats import ColumnScore
from editharness.store import RunRecord

_CAPTION = (
    "Values in %, with 95 % intervals. Ordered by the underlined column; a rank is a range: the places that the "
    "intervals leave open. Rows above the methods are controls, which no board may lack."
)


@dataclass(frozen=True)
class CellView:
    """A cell: value and interval as text, the number it sorts by ("" where there is none), and its bar in per cent."""

    value: str
    interval: str
    sort: str
    bar: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class BadgeView:
    """A badge of a known kind (its colour), with what it means."""

    kind: str
    text: str
    meaning: str


@dataclass(frozen=True)
class RowView:
    """A row; `standing`: how far it can be believed, `badges`: how it was made.

    `runs`: (path from the site's root, id) of its records, `commands` what makes them.
    """

    name: str
    rank: str
    badges: tuple[str, ...]
    standing: tuple[BadgeView, ...]
    cells: tuple[CellView, ...]
    pace: CellView
    runs: tuple[tuple[str, str], ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnView:
    """A heading: its text with the arrow, its meaning, which direction is better, whether the board is ranked by it."""

    text: str
    title: str
    better: str
    n: str
    ranked: bool


@dataclass(frozen=True)
class BoardPage:
    """A board; `plots` is how the names of its plots begin, `claims` what papers report, or None."""

    path: str
    title: str
    caption: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[ColumnView, ...]
    controls: tuple[RowView, ...]
    methods: tuple[RowView, ...]
    notes: tuple[str, ...]
    plots: str
    claims: BoardPage | None = None

    @property
    def best(self) -> RowView | None:
        """The first ranked row."""
        return next((row for row in self.methods if row.rank), None)

    @property
    def ranked(self) -> int | None:
        """The place of the column that orders the board."""
        return next((place for place, column in enumerate(self.columns) if column.ranked), None)


@dataclass(frozen=True)
class RunPage:
    """One record: facts by name, and its rows with all columns."""

    path: str
    title: str
    command: str
    facts: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[CellView, ...]], ...]
    standing: tuple[BadgeView, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    asked: tuple[Asked, ...] = ()


Known = Mapping[str, Standing]
"""How far each record can be believed, by the path of its page."""


def board_page(board: Board, claims: Sequence[Claim] = (), known: Known = MappingProxyType({})) -> BoardPage:
    """The page of a board."""
    key = board.key
    name = slug(f"{key.task} {key.model} {key.schedule} {key.edits} {key.preset}")
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:6]
    found = beside(board, claims) if claims else []
    return BoardPage(
        path=f"boards/{name}-{digest}.html",
        title=plain(key.task),
        caption=_CAPTION,
        facts=(
            ("model", plain(f"{key.model} (weights {key.model_digest[:8]})")),
            ("schedule", plain(key.schedule)), ("edits", str(key.edits)), ("preset", plain(key.preset) or "–"),
            ("protocol", plain(f"{key.protocol} version {key.protocol_version} ({key.protocol_hash[:8]})")),
            ("data", plain(f"{key.data} ({key.data_sha256[:8]})")),
        ),
        columns=tuple(_column(heading, board) for heading in board.columns),
        controls=tuple(_row(row, board) for row in board.rows if row.kind == "control"),
        methods=tuple(_row(row, board, known) for row in board.methods),
        notes=tuple(plain(note, 1000) for note in board.notes),
        plots=slug(f"{key.task} {key.model} {key.schedule} {key.edits} {key.preset}"),
        claims=_claims(as_board(board, found)) if found else None,
    )  # fmt: skip


def _claims(board: Board) -> BoardPage:
    columns = tuple(_column(heading, board) for heading in board.columns)
    rows = tuple(_row(row, board) for row in board.rows)
    return BoardPage("", MARK, "", (), columns, (), rows, tuple(plain(note, 1000) for note in board.notes), "")


def run_page(entry: Entry, known: Known = MappingProxyType({}), asked: Sequence[Asked] = ()) -> RunPage:
    """The page of a record; `asked`: some of its questions."""
    record = entry.record
    model, data, method = record.model, record.data, record.method
    facts = {
        "method": f"{method.title} ({method.distribution} {method.version})",
        "paper": method.paper,
        "options": ", ".join(f"{key}={value}" for key, value in method.options.items()),
        "preset": f"{method.preset.name} from {method.preset.source}" if method.preset.name else "–",
        "model": f"{model.name}, {model.dtype} on {model.device}, weights {model.digest_before}",
        "data": f"{data.name}, sha256 {data.sha256}",
        "protocol": f"{record.protocol.name} version {record.protocol.version}, hash {record.protocol.hash}",
        "schedule": f"{record.schedule.asked}, ran as {record.schedule.effective}, {record.schedule.edits} edits, "
        f"seed {record.schedule.seed}",
        "edits": f"{record.statuses.done} done, {record.statuses.skipped} skipped, {record.statuses.failed} failed",
        "cost": f"{record.cost.seconds:.0f} s, {seconds(record.cost.seconds_per_edit) or '–'} s per edit",
        "made": record.created,
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    names = tuple(dict.fromkeys(cell.name for row in record.rows for cell in row.columns))
    rows = []
    for row in record.rows:
        held = {cell.name: cell for cell in row.columns}
        rows.append((plain(row.row), tuple(_cell(held.get(name)) for name in names)))
    return RunPage(
        run_path(record), plain(f"{record.id} · {record.task}"), plain(record.command, 4000),
        tuple((name, plain(text, 2000)) for name, text in facts.items()), tuple(map(plain, names)), tuple(rows),
        _standing((record,), known),
        tuple(told(note) for note in known[path].notes) if (path := run_path(record)) in known else (),
        tuple(_plain(one) for one in asked),
    )  # fmt: skip


def run_path(record: RunRecord) -> str:
    """Where a record's page lies; records of one id are told apart by when they were made and what they scored."""
    told = repr((record.id, record.created, record.task, record.files)).encode()
    return f"runs/{slug(record.id)}-{hashlib.sha256(told).hexdigest()[:8]}.html"


def slug(text: str) -> str:
    """Small letters, digits, dashes and underscores, as a name of a file."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-") or "x"


def _column(heading: Heading, board: Board) -> ColumnView:
    return ColumnView(
        arrow(heading), plain(heading.title), heading.better, f"n={heading.n}" if heading.n else "",
        heading.name == board.ranked_by,
    )  # fmt: skip


def _standing(records: Sequence[RunRecord], known: Known) -> tuple[BadgeView, ...]:
    found = badges(records, [known.get(run_path(record), Standing(False)) for record in records])
    return tuple(BadgeView(kind, text, MEANING[kind]) for kind, text in found)


def _plain(one: Asked) -> Asked:
    case, task, arm, question, target, before, after = (plain(text, 300) for text in astuple(one)[:-1])
    return Asked(case, task, arm, question, target, before, after, one.right)


def _row(row: BoardRow, board: Board, known: Known = MappingProxyType({})) -> RowView:
    own_n = row.own_n(board.columns)
    made = [badge for badge in row.badges if badge != "untuned"]  # stands among the others
    marks = (*made, *([f"n={own_n}"] if own_n else []))
    return RowView(
        name=plain(row.name),
        rank=rank(row),
        badges=tuple(plain(mark) for mark in marks),
        standing=_standing(row.records, known) if row.kind == "method" else (),
        cells=tuple(_cell(row.cells.get(h.name), bar=h.name == board.ranked_by) for h in board.columns),
        pace=_pace(row.seconds_per_edit),
        runs=tuple((run_path(record), plain(record.id)) for record in row.records),
        commands=tuple(plain(record.command, 4000) for record in row.records),
    )


def _pace(value: float | None) -> CellView:
    return CellView(seconds(value) or percent(None), "", "" if value is None else f"{value:.6f}")


def _cell(cell: ColumnScore | None, *, bar: bool = False) -> CellView:
    if cell is None or cell.value is None:
        return CellView(percent(None), "", "")
    shown = None
    if bar and cell.low is not None and cell.high is not None:
        low = -1.0 if cell.low < 0 else 0.0
        shown = tuple(round(100 * (x - low) / (1.0 - low), 1) for x in (cell.low, cell.value, cell.high))
    return CellView(percent(cell.value), interval(cell, 0), f"{cell.value:.6f}", shown)  # type: ignore[arg-type]
