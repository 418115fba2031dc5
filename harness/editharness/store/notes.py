"""What others say of a record, one small JSON file each, beside it: note-NAME.json.

{"schema": 1, "kind": "reproduced", "record": "<sha256 of record.json>", "by": "who", "date": "2026-01-31",
 "text": "how, and what came out", "evidence": "a run id, or the address of a page"}

A note is of one state of the record: where record.json is another file than it was, the note says nothing any more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

from editharness.errors import RecordError
from editharness.store.fields import Fields, loads
from editharness.store.read import bounded, digest
from editharness.store.write import RECORD, replacing

NOTE = re.compile(r"note-[a-z0-9][a-z0-9-]{0,60}\.json")
KINDS = ("reproduced", "challenged")
_LARGEST = 16 * 2**10
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Note:
    """`record`: sha256 of the record.json that it is about; `evidence`: a run id or an address, "" where none."""

    kind: Literal["reproduced", "challenged"]
    record: str
    by: str
    date: str
    text: str
    evidence: str = ""


def find_notes(folder: Path) -> list[Path]:
    """The notes beside a record; links are none."""
    return sorted(path for path in folder.glob("note-*.json") if NOTE.fullmatch(path.name) and not path.is_symlink())


def read_note(path: Path) -> Note:
    """One note; RecordError names the file and the field."""
    try:
        return _note(Fields(loads(bounded(path, _LARGEST)), ""))
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None


def standing_notes(folder: Path) -> Sequence[Note]:
    """The notes about the record as it now is."""
    paths = find_notes(folder)
    now = digest(folder / RECORD) if paths else None
    return [note for note in map(read_note, paths) if note.record == now]


def write_note(folder: Path, note: Note) -> Path:
    """Write a note beside a record, in a file of its own; returns its path."""
    name = re.sub(r"[^a-z0-9]+", "-", f"{note.kind}-{note.by}-{note.date}".lower()).strip("-")[:60]
    path = folder / f"note-{name}.json"
    with replacing(path) as file:
        file.write((json.dumps({"schema": 1, **asdict(note)}, indent=2, ensure_ascii=False) + "\n").encode())
    return path


def _note(f: Fields) -> Note:
    if f.integer("schema") != 1:
        raise f.refuse("schema", "only notes of schema 1 can be read here")
    kind = cast("Literal['reproduced', 'challenged']", f.choice("kind", KINDS))
    note = Note(kind, f.text("record"), f.text("by"), f.text("date"), f.text("text"), f.text("evidence"))
    f.end()
    if not _SHA256.fullmatch(note.record):
        raise f.refuse("record", "must be the sha256 of the record.json that the note is about")
    if not _DATE.fullmatch(note.date):
        raise f.refuse("date", "must be a date like 2026-01-31")
    if not note.by.strip() or not note.text.strip():
        raise f.refuse("by" if not note.by.strip() else "text", "must not be empty")
    return note
