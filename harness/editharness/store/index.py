"""An index over thousands of records: SQLite in a cache folder. The files stay the truth, the index may be deleted.

A record is read again where its file's size or time of change is not the one in the index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from editharness.errors import RecordError
from editharness.store.read import find_records, read_record
from editharness.store.record import RunRecord

_VERSION = 1
_FILE = "records.sqlite"
Stamp = tuple[int, int]
"""Time of change in nanoseconds, and bytes."""


@dataclass(frozen=True)
class IndexedRun:
    """One record in short. `value`, `low`, `high`, `n`: the method's row in the column that orders a board.

    `problem`: why it cannot be read; all else is empty then.
    """

    path: str
    id: str = ""
    created: str = ""
    method: str = ""
    preset: str = ""
    task: str = ""
    model: str = ""
    schedule: str = ""
    edits: int = 0
    seed: int = 0
    partial: bool = False
    column: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    seconds: float = 0.0
    problem: str = ""


_NAMES = tuple(field.name for field in fields(IndexedRun))


def indexed(paths: Sequence[Path], cache: Path) -> list[IndexedRun]:
    """All records below `paths` in the order of `find_records`; only those that changed are read."""
    found = {str(path.resolve()): path for path in find_records(paths)}
    with _opened(cache) as index:
        known = _known(index, found)
        fresh = [_entry(path) for key, path in found.items() if key not in known]
        with index:
            index.executemany(_INSERT, [(str(path.resolve()), *stamp, *astuple(run)) for path, stamp, run in fresh])
            index.executemany("DELETE FROM runs WHERE key = ?", [(key,) for key in _gone(index, paths, found)])
    made = {str(path.resolve()): run for path, _, run in fresh} | known
    # a file may be named by another path than it was when it was read
    return [IndexedRun(**{**vars(made[key]), "path": str(path)}) for key, path in found.items()]


_TABLE = f"CREATE TABLE runs (key TEXT PRIMARY KEY, changed INTEGER, size INTEGER, {', '.join(_NAMES)})"
_INSERT = f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * (3 + len(_NAMES)))})"


@contextmanager
def _opened(cache: Path) -> Iterator[sqlite3.Connection]:
    """The index; one that is broken, of another version, or cannot be written is made anew (in memory at worst)."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        index = _ready(cache / _FILE)
    except (OSError, sqlite3.OperationalError):
        index = _ready(":memory:")
    except sqlite3.DatabaseError:
        (cache / _FILE).unlink(missing_ok=True)
        index = _ready(cache / _FILE)
    with closing(index):
        yield index


def _ready(file: Path | str) -> sqlite3.Connection:
    index = sqlite3.connect(file, timeout=5)
    try:
        with index:
            if index.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                index.execute("DROP TABLE IF EXISTS runs")
                index.execute(_TABLE)
                index.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.DatabaseError:
        index.close()
        raise
    return index


def _known(index: sqlite3.Connection, found: Mapping[str, Path]) -> dict[str, IndexedRun]:
    """What the index has of these files, where they have not changed since."""
    known = {}
    for key, changed, size, *values in index.execute("SELECT * FROM runs"):
        if key in found and _stamp(found[key]) == (changed, size):
            run = IndexedRun(*values)
            known[key] = IndexedRun(**{**vars(run), "partial": bool(run.partial)})
    return known


def _gone(index: sqlite3.Connection, paths: Sequence[Path], found: Mapping[str, Path]) -> list[str]:
    """Entries below `paths` whose file is not there any more."""
    roots = tuple(f"{path.resolve()}/" for path in paths)
    keys = (key for (key,) in index.execute("SELECT key FROM runs"))
    return [key for key in keys if key not in found and key.startswith(roots)]


def _stamp(path: Path) -> Stamp | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


def _entry(path: Path) -> tuple[Path, Stamp, IndexedRun]:
    stamp = _stamp(path) or (0, 0)
    try:
        return path, stamp, _short(path, read_record(path))
    except RecordError as error:
        return path, stamp, IndexedRun(str(path), problem=str(error).removeprefix(f"{path}: "))


def _short(path: Path, record: RunRecord) -> IndexedRun:
    row = next((row for row in record.rows if row.row == record.method.name), None) or next(
        (row for row in record.rows if row.kind == "method"), None
    )
    cells = {column.name: column for column in row.columns} if row else {}
    cell = cells.get(record.protocol.ranked_by) or next(iter(cells.values()), None)
    return IndexedRun(
        path=str(path),
        id=record.id,
        created=record.created,
        method=record.method.name,
        preset=record.method.preset.name,
        task=record.task,
        model=record.model.name,
        schedule=record.schedule.effective,
        edits=record.schedule.edits,
        seed=record.schedule.seed,
        partial=record.partial,
        column=cell.name if cell else "",
        value=cell.value if cell else None,
        low=cell.low if cell else None,
        high=cell.high if cell else None,
        n=cell.n if cell else 0,
        seconds=record.cost.seconds,
    )
