"""Reading the answers beside a record: samples.jsonl.gz, one JSON object a line, from strangers and hence bounded."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from editharness.errors import RecordError
from editharness.store.fields import Fields, loads
from editharness.store.read import bounded
from editharness.store.write import SAMPLES

_LARGEST_PACKED = 256 * 2**20
_LARGEST_LINE = 2**20


@dataclass(frozen=True)
class Sample:
    """One stored answer: who (`row`, "" for the unedited model) was asked what, where, and what it said."""

    row: str
    task: str
    arm: str
    moment: str
    case: str
    item: int
    text: str | None


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


def _lines(path: Path) -> Iterator[bytes]:
    """Lines of bounded length: a file that unpacks to more than memory holds must not fill it."""
    with gzip.GzipFile(fileobj=io.BytesIO(bounded(path, _LARGEST_PACKED))) as lines:
        while line := lines.readline(_LARGEST_LINE + 1):
            if len(line) > _LARGEST_LINE:
                raise RecordError(f"a line is longer than {_LARGEST_LINE // 2**20} MiB")
            yield line


def _sample(f: Fields) -> Sample:
    f.free("scores")
    sample = Sample(
        row=f.text("row"),
        task=f.text("task"),
        arm=f.text("arm"),
        moment=f.text("moment"),
        case=f.text("case"),
        item=f.count("item"),
        text=f.maybe_text("text"),
    )
    f.end()
    return sample
