"""Writing a run: samples and edits first, record.json last, so that a folder without it is an unfinished run.

Every file is written under a temporary name, flushed to the disk and renamed, so that no reader ever sees half a file.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from editharness.durable import sync_folder
from editharness.errors import RecordError
from editharness.store.portable import portable
from editharness.store.record import RunRecord, check_id

if TYPE_CHECKING:
    from editharness.protocol import Series

RECORD = "record.json"
SAMPLES = "samples.jsonl.gz"
EDITS = "edits.jsonl"
SCORES = "scores.jsonl"


class RunFolder:
    """The folder of one run, `root`/`run_id`; refuses one that already holds a complete record."""

    def __init__(self, root: Path, run_id: str) -> None:
        self.path = root / check_id(run_id)
        self.id = run_id
        if self.path.is_symlink():
            raise RecordError(f"{self.path}: is a link; a run is written into a folder of its own")
        if (self.path / RECORD).exists():
            raise RecordError(f"{self.path}: this run is already recorded; remove the folder or give another --output")

    def write(
        self,
        record: RunRecord,
        *,
        samples: Iterable[Mapping[str, Any]] = (),
        edits: Iterable[Mapping[str, Any]] = (),
        scores: Iterable[Mapping[str, Any]] = (),
    ) -> Path:
        """Write the files beside the record, then the record with their sha256; returns the path of record.json.

        Each line of `samples`, `edits`, `scores` is one JSON object; `scores` are what `score_lines` makes.
        """
        if record.id != self.id:
            raise RecordError(f"{self.path}: the record says it is {record.id!r}")
        check_writable(self.path)
        lines = {EDITS: edits, SAMPLES: samples, SCORES: scores}
        files = {name: self._write_lines(name, rows) for name, rows in lines.items()}
        raw = replace(record, files={**record.files, **files}).to_json()
        target = self.path / RECORD
        with replacing(target) as file:
            file.write((json.dumps(raw, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
        return target

    def _write_lines(self, name: str, rows: Iterable[Mapping[str, Any]]) -> str:
        """Stream rows as JSON lines, compressed where the name says so; returns the sha256 of the file."""
        with replacing(self.path / name) as file, _packed(file, name) as lines:
            for number, row in enumerate(rows, 1):
                raw = portable(row, f"{name} line {number}", raw=True)
                lines.write((json.dumps(raw, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace"))
        with (self.path / name).open("rb") as written:
            return hashlib.file_digest(written, "sha256").hexdigest()


@contextmanager
def _packed(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """The file itself, or a gzip stream into it without a time or a name, so that equal lines give equal bytes."""
    if not name.endswith(".gz"):
        yield file
        return
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        yield cast("IO[bytes]", packed)


def score_lines(
    rows: Mapping[str, Mapping[str, tuple[Mapping[str, float], bool]]], clusters: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Lines of scores.jsonl: who belongs to which cluster, then every column's scores by case.

    `rows`: row -> column -> (score by case, whether it is a proportion). From these lines every number of the record
    can be computed again.
    """
    yield {"clusters": dict(clusters)}
    for row, columns in rows.items():
        for column, (values, proportion) in columns.items():
            yield {"row": row, "column": column, "proportion": proportion, "values": dict(values)}


def series_lines(rows: Mapping[str, Sequence[Series]]) -> Iterator[dict[str, Any]]:
    """Further lines of scores.jsonl: row -> series, one line per point, with the scores by case."""
    for row, series in rows.items():
        for one in series:
            for point in one.points:
                yield {
                    "row": row,
                    "series": one.name,
                    "edits": point.edits,
                    "cohort": point.cohort,
                    "proportion": one.proportion,
                    "values": dict(point.values),
                }


def check_writable(path: Path) -> None:
    """Make the folder and prove that files can be made in it; RecordError before any work is lost."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path, prefix=".check-"):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RecordError(f"{path}: cannot be written ({reason}); give another --output") from None


@contextmanager
def replacing(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `target` once it is complete and on the disk; nothing is left of a failed one."""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    except OSError as error:
        raise RecordError(f"{target}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes files that only the owner can read
        os.replace(name, target)
    except OSError as error:
        raise RecordError(f"{target}: cannot be written ({error.strerror})") from None
    finally:
        Path(name).unlink(missing_ok=True)
    sync_folder(target.parent)
