"""An index over thousands of records: SQLite in a cache folder. The files stay the truth, the index may be deleted.

What it has of a file is used only where the file's stamp (size, times of change, inode) is still the one that it was
read with. Kept are the record, the hash of the scores beside it, and what was made of several runs' scores.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from editharness.errors import RecordError
from editharness.store.packed import pack, unpack
from editharness.store.read import digest, read_record, records_below
from editharness.store.record import RunRecord

_SOURCES = ("decode.py", "fields.py", "index.py", "migrations.py", "packed.py", "record.py")
_FILE = "records.sqlite"
_TICK = 50_000_000
"""Nanoseconds: a file that changed so shortly before it was read may change again and bear the same time."""
_MOST = 200_000
"""Entries that no folder tells to be gone; beyond so many all are made anew."""


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
_TABLES = (
    f"CREATE TABLE runs (key TEXT PRIMARY KEY, stamp TEXT, {', '.join(_NAMES)}, record TEXT)",
    "CREATE TABLE files (key TEXT PRIMARY KEY, stamp TEXT, sha256 TEXT)",
    "CREATE TABLE pooled (key TEXT PRIMARY KEY, told TEXT)",
)


class Index:
    """What is known of the records below some folders; each method looks at the files first."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        self._files: dict[str, tuple[str, str]] | None = None
        self._hashed: list[tuple[str, str, str]] = []
        self._new: dict[str, Any] = {}

    def runs(self, paths: Sequence[Path]) -> list[IndexedRun]:
        """All records below `paths` in the order of `find_records`, in short; only those that changed are read."""
        found = records_below(paths)
        known = self._known(found, ", ".join(_NAMES))
        fresh = self._fresh({key: path for key, path in found.items() if key not in known})
        self._forget(paths, found)
        made = {key: run for key, (run, _) in fresh.items()} | {key: IndexedRun(*row) for key, row in known.items()}
        # a file may be named by another path than it was when it was read; SQLite has no booleans
        return [
            IndexedRun(**{**vars(made[key]), "path": str(path), "partial": bool(made[key].partial)})
            for key, path in found.items()
        ]

    def records(self, paths: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
        """All records below `paths` in the order of `find_records`; RecordError for the first that cannot be read."""
        found = records_below(paths)
        known = self._known(found, "record")
        fresh = self._fresh({key: path for key, path in found.items() if key not in known})
        made = []
        for key, path in found.items():
            run, record = fresh.get(key, (None, None))
            if run and run.problem:
                raise RecordError(f"{path}: {run.problem}")
            made.append((path, record or _unpacked(path, known[key][0])))
        return made

    def digest(self, path: Path) -> str | None:
        """sha256 of a file beside a record; None where there is none."""
        key, stamp = os.path.abspath(path), _stamp(path)
        if self._files is None:
            self._files = {key: (stamp, sha) for key, stamp, sha in self._asked("SELECT * FROM files")}
        if key in self._files and self._files[key][0] == stamp:
            return self._files[key][1]
        made = digest(path)
        if made is not None and stamp:
            self._files[key] = (stamp, made)
            self._hashed.append((key, stamp, made))
        return made

    def pooled(self, key: str) -> Any:
        """What was kept under a key, as `keep` got it; KeyError where there is nothing."""
        if key in self._new:
            return self._new[key]
        for (told,) in self._asked("SELECT told FROM pooled WHERE key = ?", (key,)):
            return json.loads(told)
        raise KeyError(key)

    def keep(self, key: str, told: Any) -> None:
        """Keep a value that JSON can hold; a key is a hash of all that the value depends on."""
        self._new[key] = told

    def flush(self) -> None:
        """Write what was kept since, at once."""
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", self._hashed)
        told = [(key, json.dumps(told)) for key, told in self._new.items()]
        self._write("INSERT OR REPLACE INTO pooled VALUES (?, ?)", told)

    def _known(self, found: Mapping[str, Path], columns: str) -> dict[str, tuple[Any, ...]]:
        """What the index has of these files, where they have not changed since."""
        rows = self._asked(f"SELECT key, stamp, {columns} FROM runs")
        return {
            key: tuple(rest) for key, stamp, *rest in rows if key in found and stamp and _stamp(found[key]) == stamp
        }

    def _fresh(self, found: Mapping[str, Path]) -> dict[str, tuple[IndexedRun, RunRecord | None]]:
        """These files, read now."""
        read = [(key, *_read(path)) for key, path in found.items()]
        # what could not be read is asked for again: it may have been the disk's fault
        rows = [(key, stamp, *astuple(run), pack(record)) for key, stamp, run, record in read if record]
        self._write(f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * (3 + len(_NAMES)))})", rows)
        return {key: (run, record) for key, _, run, record in read}

    def _forget(self, paths: Sequence[Path], found: Mapping[str, Path]) -> None:
        """Remove what the index has below `paths` of files that are not there any more."""
        roots = tuple(f"{path.resolve()}/" for path in paths)
        gone = [(k,) for (k,) in self._asked("SELECT key FROM runs") if k not in found and k.startswith(roots)]
        self._write("DELETE FROM runs WHERE key = ?", gone)

    def _asked(self, words: str, values: Sequence[str] = ()) -> list[Any]:
        try:
            return self._base.execute(words, values).fetchall()
        except sqlite3.DatabaseError:  # damaged, or held by another process: the files are read
            return []

    def _write(self, words: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write, where that is possible: an index that cannot be written costs time and nothing else."""
        if rows:
            with suppress(sqlite3.DatabaseError), self._base:
                self._base.executemany(words, rows)


def indexed(paths: Sequence[Path], cache: Path) -> list[IndexedRun]:
    """All records below `paths` in short, by the index in the folder `cache`."""
    with opened(cache) as index:
        return index.runs(paths)


@contextmanager
def opened(cache: Path) -> Iterator[Index]:
    """The index; one that is broken, of another version, or cannot be written is made anew (in memory at worst)."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        base = _ready(cache / _FILE)
    except (OSError, sqlite3.OperationalError):
        base = _ready(":memory:")
    except sqlite3.DatabaseError:
        (cache / _FILE).unlink(missing_ok=True)
        base = _ready(cache / _FILE)
    with closing(base):
        index = Index(base)
        yield index
        index.flush()


def _ready(file: Path | str) -> sqlite3.Connection:
    base = sqlite3.connect(file, timeout=5)
    try:
        with base:
            # what is made here can be made again: no flush to the disk is waited for
            base.execute("PRAGMA synchronous = OFF")
            if base.execute("PRAGMA user_version").fetchone()[0] != _version():
                _new_tables(base)
            for table in ("files", "pooled"):
                if base.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > _MOST:
                    base.execute(f"DELETE FROM {table}")
    except sqlite3.DatabaseError:
        base.close()
        raise
    return base


def _new_tables(base: sqlite3.Connection) -> None:
    for table in _TABLES:
        base.execute(f"DROP TABLE IF EXISTS {table.split()[2]}")
        base.execute(table)
    base.execute(f"PRAGMA user_version = {_version()}")


def _version() -> int:
    """A number over the code that reads records: what another version has read may not be what this one would."""
    return zlib.crc32(b"".join(Path(__file__).with_name(name).read_bytes() for name in _SOURCES)) >> 1


def _stamp(path: Path) -> str | None:
    """What changes with every write to a file; None where it cannot be told, or the last write is too fresh."""
    try:
        facts = path.stat()
    except OSError:
        return None
    fresh = abs(time.time_ns() - max(facts.st_mtime_ns, facts.st_ctime_ns)) < _TICK
    return None if fresh else f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns} {facts.st_ino}"


def _read(path: Path) -> tuple[str | None, IndexedRun, RunRecord | None]:
    """A file read now, with its stamp as it was before."""
    stamp = _stamp(path)
    try:
        record = read_record(path)
        return stamp, _short(path, record), record
    except RecordError as error:
        return stamp, IndexedRun(str(path), problem=str(error).removeprefix(f"{path}: ")), None


def _unpacked(path: Path, packed: str) -> RunRecord:
    """The record that the index has of a file; of a damaged index, the file's."""
    try:
        return unpack(packed)
    except RecordError:
        return read_record(path)


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
