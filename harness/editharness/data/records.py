"""Reading data files: a JSON array of objects, or JSON Lines, with one line of text for whatever is wrong.

A file that cannot be read at all raises DataError. A record that does not fit raises RecordFault, which its reader
turns into a `Skipped` (counted and named), so that one bad record never stops a run. Records are counted from 1.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from editharness.errors import DataError
from editharness.types import Skipped

MAX_BYTES: Final = 1 << 30
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_NAMES: Final = {dict: "an object", list: "a list", str: "text", bool: "true/false", int: "a number", float: "a number"}


class RecordFault(DataError):
    """One record does not fit: the field and the reason. Its reader counts it and goes on."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"field {name!r} {reason}" if name else reason)
        self.field, self.reason = name, reason


def clean(text: str) -> str:
    """Text without leading and trailing white space, runs of white space as one space."""
    return " ".join(text.split())


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


@dataclass(frozen=True)
class Record:
    """One JSON object of a data file; `number` is its place (from 1), `at` its path inside the record ("a.b.").

    The accessors return cleaned text and raise RecordFault, which names the field in full.
    """

    number: int
    fields: Mapping[str, Any]
    at: str = ""

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.fields.get(name) is not None

    def text(self, name: str) -> str:
        """A required text; it may be empty."""
        return self._text(name, self._required(name))

    def optional(self, name: str, default: str = "") -> str:
        """A text that may be missing or null."""
        return self._text(name, self.fields[name]) if self.has(name) else default

    def answers(self, name: str) -> tuple[str, ...]:
        """A text, a list of texts or a list of alias lists, flattened; at least one text, which may be empty."""
        found = tuple(self._flat(name, self._required(name)))
        if not found:
            raise RecordFault(self.at + name, "holds no text")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """As `answers`, without empty texts; nothing where the field is missing or null."""
        return tuple(text for text in self._flat(name, self.fields[name]) if text) if self.has(name) else ()

    def record(self, name: str) -> Record:
        """A required object."""
        return self._record(name, self._required(name))

    def records(self, name: str) -> tuple[Record, ...]:
        """A list of objects; nothing where the field is missing or null."""
        value = self.fields.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise RecordFault(self.at + name, f"is {kind_of(value)}, not a list of objects")
        return tuple(self._record(f"{name}[{i}]", item) for i, item in enumerate(value))

    def _required(self, name: str) -> Any:
        if name not in self.fields:
            raise RecordFault(self.at + name, "is missing")
        return self.fields[name]

    def _text(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise RecordFault(self.at + name, f"is {kind_of(value)}, not text")
        if _SURROGATE.search(value):
            raise RecordFault(self.at + name, "holds half a character (a lone surrogate)")
        return clean(value)

    def _flat(self, name: str, value: object) -> Iterator[str]:
        """At most two levels of lists."""
        for item in value if isinstance(value, list) else [value]:
            for inner in item if isinstance(item, list) else [item]:
                yield self._text(name, inner)

    def _record(self, name: str, value: object) -> Record:
        if not isinstance(value, dict):
            raise RecordFault(self.at + name, f"is {kind_of(value)}, not an object")
        return Record(self.number, value, f"{self.at}{name}.")


@dataclass(frozen=True)
class RecordFile:
    """The records of a file, those that are no objects or no JSON, and the file's SHA-256."""

    path: Path
    records: tuple[Record, ...]
    skipped: tuple[Skipped, ...]
    sha256: str


def read_records(path: Path, *, limit: int = MAX_BYTES) -> RecordFile:
    """Read a JSON array of objects or JSON Lines of at most `limit` bytes; raises DataError."""
    data = _read_bytes(path, limit)
    text = _decode(path, data)
    items = _array(path, text) if text.lstrip()[:1] == "[" else _lines(path, text)
    records, skipped = [], []
    for number, item in enumerate(items, start=1):
        if isinstance(item, dict):
            records.append(Record(number, item))
        else:
            skipped.append(Skipped(number, "", str(item) if isinstance(item, _Fault) else f"is {kind_of(item)}"))
    if not records:
        reason = f": record {skipped[0].record} {skipped[0].reason}" if skipped else ""
        raise DataError(f"data file {path}: holds no record{reason}")
    return RecordFile(path, tuple(records), tuple(skipped), hashlib.sha256(data).hexdigest())


class _Fault(str):
    """Why a line became no record."""


def _read_bytes(path: Path, limit: int) -> bytes:
    if not path.exists():
        raise DataError(f"data file {path}: no such file")
    if not path.is_file():
        raise DataError(f"data file {path}: is not a file; name the file inside it")
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"data file {path}: cannot be read ({error.strerror})") from error
    if len(data) > limit:
        raise DataError(f"data file {path}: larger than {limit:,} bytes; split it or pass a part of it")
    return data


def _decode(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"data file {path}: not UTF-8 text (byte {error.start})") from error
    if not text.strip():
        raise DataError(f"data file {path}: is empty")
    return text


def _array(path: Path, text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"data file {path}: not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"data file {path}: not readable JSON: {_short(error)}") from error
    return found if isinstance(found, list) else []


def _lines(path: Path, text: str) -> list[Any]:
    """One JSON value per line; a text that is one JSON value over several lines is named as such."""
    rows = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    items = [_line(number, line) for number, line in rows]
    if not isinstance(items[0], dict):
        raise DataError(f"data file {path}: {_whole(text, items[0])}; expected a JSON list of objects, or JSON Lines")
    return items


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        return _Fault(f"not JSON: {error.msg} (line {number}, column {error.colno})")
    except (RecursionError, ValueError) as error:
        return _Fault(f"not readable JSON: {_short(error)} (line {number})")


def _whole(text: str, first: object) -> str:
    try:
        return f"holds {kind_of(json.loads(text))}, not a list of records"
    except (RecursionError, ValueError):
        return str(first) if isinstance(first, _Fault) else f"line 1 holds {kind_of(first)}, not a record"


def _short(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split(";")[0].split("\n")[0]
