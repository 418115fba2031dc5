"""Finding and reading records: data from strangers, so bounded, checked, and never followed out of its folder."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from editharness.errors import RecordError
from editharness.store.fields import Fields, loads
from editharness.store.record import RunRecord
from editharness.store.write import RECORD, SCORES

LARGEST_RECORD = 4 * 2**20
_LARGEST_SCORES = 256 * 2**20


ByCase = tuple[Mapping[str, float], bool]
"""Score by case, and whether it is a proportion."""
PointKey = tuple[str, str, int, tuple[int, int] | None]
"""A point of a series: row, name of the series, edits, cohort."""


@dataclass(frozen=True)
class Scores:
    """The scores by case behind a record: those of (row, column), and those of each point of a series."""

    clusters: Mapping[str, str]
    columns: Mapping[tuple[str, str], ByCase]
    points: Mapping[PointKey, ByCase] = field(default_factory=dict)


def find_records(paths: Sequence[Path]) -> list[Path]:
    """All record.json at any depth below the folders in `paths`; a file is taken as it is. Sorted, each once.

    Hidden folders and links out of a folder are left alone; RecordError where a path holds no record.
    """
    return list(records_below(paths).values())


def records_below(paths: Sequence[Path]) -> dict[str, Path]:
    """The same by the resolved path of each record."""
    found: dict[str, Path] = {}
    for path in paths:
        here = list(_below(path)) if path.is_dir() else [(path.resolve(), path)] if path.exists() else []
        if not here:
            problem = "no record.json here" if path.exists() else "no such file or folder"
            raise RecordError(f"{path}: {problem}; `editharness eval ... --output {path}` makes records")
        for resolved, one in here:
            found.setdefault(str(resolved), one)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def read_record(path: Path) -> RunRecord:
    """Read and check one record; RecordError in one line, naming the file and the field."""
    try:
        return RunRecord.from_json(loads(bounded(path, LARGEST_RECORD)))
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def read_scores(folder: Path) -> Scores | None:
    """The scores by case beside a record, or None where they were not kept."""
    path = folder / SCORES
    if path.is_symlink() or not path.is_file():
        return None
    try:
        lines = [loads(line) for line in bounded(path, _LARGEST_SCORES).splitlines()]
        return _scores(lines)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def digest(path: Path) -> str | None:
    """sha256 of a plain file; None where there is none (a link is none)."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _below(folder: Path) -> Iterator[tuple[Path, Path]]:
    """(resolved path, path) of each record: no link is followed, so that only the folder's own path needs resolving."""
    root = folder.resolve()
    for here, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RECORD in files and not (path := Path(here) / RECORD).is_symlink():
            yield root / path.relative_to(folder), path


def bounded(path: Path, largest: int) -> bytes:
    """The bytes of a plain file of bounded size (a pipe or a device would block or never end)."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise RecordError("not a plain file")
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})") from None
    if len(data) > largest:
        raise RecordError(f"larger than {largest // 2**20} MiB")
    return data


def _scores(lines: Sequence[Any]) -> Scores:
    clusters: dict[str, str] = {}
    columns: dict[tuple[str, str], ByCase] = {}
    points: dict[PointKey, ByCase] = {}
    for number, line in enumerate(lines, 1):
        f = Fields(line, f"line {number}")
        if f.has("clusters"):
            _once(f, "clusters", bool(clusters))
            clusters.update(f.named_texts("clusters"))
        elif f.has("series"):
            point = (f.text("row"), f.text("series"), f.count("edits"), f.maybe_span("cohort"))
            _once(f, "series", point in points)
            points[point] = (f.named_numbers("values"), f.flag("proportion"))
        else:
            key = (f.text("row"), f.text("column"))
            _once(f, "column", key in columns)
            columns[key] = (f.named_numbers("values"), f.flag("proportion"))
        f.end()
    return Scores(clusters, columns, points)


def _once(f: Fields, key: str, there: bool) -> None:
    if there:
        raise f.refuse(key, "stands twice")
