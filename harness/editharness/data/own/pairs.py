"""Question-answer pairs from a file: CSV, a JSON array or JSON Lines, with the columns of `COLUMNS`.

Several aliases stand in one CSV cell with "|" between them, or in a list in JSON. A row that does not fit is named with
its number (from 1) and field, and the others go on.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from editharness.data.records import MAX_BYTES, Record, RecordFault, read_records
from editharness.errors import DataError, UnknownNameError
from editharness.types import Skipped

COLUMNS: Final = ("question", "answer", "aliases", "subject", "new_answer", "target", "id")
"""`question` and `answer` are needed; `new_answer` and `target` are two names of one column."""


@dataclass(frozen=True)
class Pair:
    """A question with its answer; what was not given is empty, but for the id."""

    number: int
    id: str
    question: str
    answer: str
    aliases: tuple[str, ...] = ()
    subject: str = ""
    new_answer: str = ""


@dataclass(frozen=True)
class PairFile:
    """The pairs of a file, the rows that are none, columns that mean nothing here, and the file's SHA-256."""

    pairs: tuple[Pair, ...]
    skipped: tuple[Skipped, ...]
    ignored: tuple[str, ...]
    sha256: str


def read_pairs(path: Path) -> PairFile:
    """Read a file of pairs; raises DataError where it cannot be read or holds no pair."""
    records, skipped, sha256 = _csv(path) if path.suffix.lower() == ".csv" else _json(path)
    pairs: dict[str, Pair] = {}
    ids: set[str] = set()
    for record in records:
        try:
            pair = _pair(record)
            known = pairs.get(pair.question)
            if known is not None:
                same = known.answer.casefold() == pair.answer.casefold()
                raise RecordFault(
                    "question", f"came before, in record {known.number}" + ("" if same else ": it differs")
                )
            if pair.id in ids:
                raise RecordFault("id", f"{pair.id!r} came before")
            ids.add(pair.id)
            pairs[pair.question] = pair
        except RecordFault as fault:
            skipped.append(Skipped(record.number, fault.field, fault.reason))
    if not pairs:
        first = skipped[0]
        raise DataError(f"{path}: holds no pair; record {first.record}: field {first.field!r} {first.reason}")
    ignored = dict.fromkeys(name for record in records for name in record.fields if name not in COLUMNS)
    skipped.sort(key=lambda one: one.record)
    return PairFile(tuple(pairs.values()), tuple(skipped), tuple(ignored), sha256)


def _json(path: Path) -> tuple[list[Record], list[Skipped], str]:
    file = read_records(path)
    return list(file.records), list(file.skipped), file.sha256


def _csv(path: Path) -> tuple[list[Record], list[Skipped], str]:
    """Rows as records; a row with more or fewer cells than the header has is skipped and named."""
    data = _bytes(path)
    try:
        rows = list(_rows(path, io.StringIO(data.decode("utf-8-sig"), newline="")))
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from None
    header = [name.strip() for name in rows[0]] if rows else []
    for needed in COLUMNS[:2]:
        if needed not in header:
            near = UnknownNameError("column", needed, header).nearest
            hint = f"; is it {near!r}?" if near else ""
            raise DataError(f"{path}: its first line names no column {needed!r}{hint}")
    records: list[Record] = []
    skipped: list[Skipped] = []
    for number, cells in enumerate((row for row in rows[1:] if any(cell.strip() for cell in row)), start=1):
        if len(cells) == len(header):
            records.append(Record(number, dict(zip(header, cells, strict=True))))
        else:
            skipped.append(Skipped(number, "", f"has {len(cells)} cells instead of {len(header)}"))
    return records, skipped or ([] if records else [Skipped(1, "", "is missing")]), hashlib.sha256(data).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: larger than {MAX_BYTES:,} bytes; split it")
    return data


def _rows(path: Path, text: io.StringIO) -> Iterator[list[str]]:
    reader = csv.reader(text, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: not CSV: {error}") from None


def _pair(record: Record) -> Pair:
    question, answers = record.text("question"), record.answers("answer")
    aliases = record.texts("aliases")
    if isinstance(record.fields.get("aliases"), str):
        aliases = tuple(part.strip() for part in aliases[0].split("|") if part.strip()) if aliases else ()
    new, target = record.optional("new_answer"), record.optional("target")
    if new and target and new != target:
        raise RecordFault("target", f"is {target!r}, but new_answer is {new!r}; give one of them")
    for name, text in (("question", question), ("answer", answers[0])):
        if not any(letter.isalnum() for letter in text):
            raise RecordFault(name, f"{text!r} has no letter or digit" if text else "is empty")
    return Pair(
        number=record.number,
        id=_id(record),
        question=question,
        answer=answers[0],
        aliases=(*answers[1:], *aliases),
        subject=record.optional("subject"),
        new_answer=new or target,
    )


def _id(record: Record) -> str:
    """The row's own id, which may be a number in JSON; else one made from its place."""
    given = record.fields.get("id")
    return str(given) if type(given) is int else record.optional("id") or f"own-{record.number}"
