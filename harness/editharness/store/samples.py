"""Reading the answers and the edits beside a record: JSON lines, from strangers and hence bounded."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from editharness.errors import RecordError
from editharness.store.fields import Fields, loads
from editharness.store.read import bounded
from editharness.store.write import EDITS, SAMPLES

_LARGEST_PACKED = 256 * 2**20
_LARGEST_UNPACKED = 4 * 2**30
_LARGEST_LINE = 2**20
_LARGEST_LOOK = 64 * 2**20
_ITEM = re.compile(rb'"case": "[^"\\\n]*", "item": 0,')


@dataclass(frozen=True)
class Sample:
    """One stored answer: who (`row`, "" for the unedited model) was asked what, where, and what it said.

    `edits`: how many facts were written, where a checkpoint asked. `kind`, `forced` are those of `protocol.Answer`.
    """

    row: str
    task: str
    arm: str
    moment: str
    case: str
    item: int
    text: str | None
    edits: int = 0
    kind: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    forced: tuple[int, ...] = ()


@dataclass(frozen=True)
class EditLine:
    """What became of one edit: which step of which arm wrote it, and why not where it failed."""

    arm: str
    case: str
    step: int
    outcome: str
    reason: str


def read_samples(folder: Path) -> Iterator[Sample]:
    """The answers of a run, in the order of the file; RecordError names the file and the line."""
    path = folder / SAMPLES
    if path.is_symlink() or not path.is_file():
        raise RecordError(f"{path}: missing, so that no answer can be judged")
    try:
        for number, line in enumerate(_lines(path), 1):
            yield _sample(Fields(loads(line), f"line {number}"))
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(f"{path}: not a whole gzip file ({type(error).__name__})") from None
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def first_samples(folder: Path, cases: int) -> list[Sample]:
    """The answers to the first question of each task, of the first `cases` cases; none of a file too large to look at.

    Lines are found by how this package writes them and only these are parsed: a look, where `read_samples` reads.
    """
    path = folder / SAMPLES
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(bounded(path, _LARGEST_PACKED))) as file:
            data = file.read(_LARGEST_LOOK + 1)
        if len(data) > _LARGEST_LOOK:
            return []
        return [_sample(Fields(loads(line), "line")) for line in _of_first(data, cases)]
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(f"{path}: not a whole gzip file ({type(error).__name__})") from None
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def _of_first(data: bytes, cases: int) -> Iterator[bytes]:
    """The lines, in their order, with item 0 of the first `cases` cases that are named."""
    marks = dict.fromkeys(islice(_named(data), cases))
    starts = sorted(place for mark in marks for place in _places(data, mark))
    for place in starts:
        end = data.find(b"\n", place)
        yield data[data.rfind(b"\n", 0, place) + 1 : end if end >= 0 else len(data)]


def _named(data: bytes) -> Iterator[bytes]:
    """What marks item 0 of a case, each once, in the order in which cases are named."""
    seen = set()
    for found in _ITEM.finditer(data):
        if found[0] not in seen:
            seen.add(found[0])
            yield found[0]


def _places(data: bytes, mark: bytes) -> Iterator[int]:
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


def read_edits(folder: Path) -> list[EditLine]:
    """The edits of a run, in the order in which they were written; RecordError names the file and the line."""
    path = folder / EDITS
    try:
        lines = bounded(path, _LARGEST_PACKED).splitlines()
        return [_edit(Fields(loads(line), f"line {number}")) for number, line in enumerate(lines, 1)]
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def _lines(path: Path) -> Iterator[bytes]:
    """Lines of bounded length and number: a file that unpacks to more than memory holds must not fill it."""
    left = _LARGEST_UNPACKED
    with gzip.GzipFile(fileobj=io.BytesIO(bounded(path, _LARGEST_PACKED))) as lines:
        while line := lines.readline(_LARGEST_LINE + 1):
            left -= len(line)
            if len(line) > _LARGEST_LINE:
                raise RecordError(f"a line is longer than {_LARGEST_LINE // 2**20} MiB")
            if left < 0:
                raise RecordError(f"unpacks to more than {_LARGEST_UNPACKED // 2**30} GiB")
            yield line


def _sample(f: Fields) -> Sample:
    sample = Sample(
        row=f.text("row"),
        task=f.text("task"),
        arm=f.text("arm"),
        moment=f.text("moment"),
        case=f.text("case"),
        item=f.count("item"),
        text=f.maybe_text("text"),
        edits=f.count("edits") if f.has("edits") else 0,
        kind=f.text("kind") if f.has("kind") else "",
        scores=f.measured("scores"),
        forced=f.maybe_integers("forced"),
    )
    f.end()
    return sample


def _edit(f: Fields) -> EditLine:
    f.measured("facts")
    edit = EditLine(
        f.text("arm"),
        f.text("case"),
        f.count("step"),
        f.choice("outcome", ("done", "skipped", "failed")),
        f.text("reason"),
    )
    f.end()
    return edit
