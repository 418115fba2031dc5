"""The folder of a record: its files are those that were written, and there is nothing else in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from editharness.errors import RecordError
from editharness.store import RunRecord
from editharness.store.judgements import read_judgements
from editharness.store.notes import NOTE, read_note
from editharness.store.read import digest
from editharness.store.write import EDITS, RECORD, SAMPLES, SCORES
from editharness.verifying.findings import Finding
from editharness.verifying.texts import check_texts

FILES = (EDITS, SAMPLES, SCORES)
"""What stands beside every record."""
SHA256 = re.compile(r"[0-9a-f]{64}")
_JUDGEMENTS = re.compile(r"judgements-.+\.jsonl")


def check_folder(path: Path, record: RunRecord) -> Iterator[Finding]:
    """Every file that the record names is there with its hash; no link, no folder, no file that nobody names."""
    folder = path.parent
    for name in FILES:
        if name not in record.files:
            yield Finding("error", path, "files", f"{name} is not named: a record names the hash of each of its files")
    for name, said in sorted(record.files.items()):
        yield from _named(path, name, said)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name not in (RECORD, *record.files):
                yield from _other(folder / entry.name, entry, record)
    name = folder.resolve().name
    if name != record.id and not name.startswith(f"{record.id}-"):
        yield Finding("warning", path, "id", f"the folder is named {name}, the run {record.id}")


def _named(path: Path, name: str, said: str) -> Iterator[Finding]:
    if Path(name).name != name or "\\" in name or name not in FILES:
        yield Finding("error", path, f"files.{name[:80]}", f"not one of {', '.join(FILES)}: no other file is read")
        return
    file = path.parent / name
    if file.is_symlink() or not file.is_file():
        yield Finding("error", file, "", "missing, or not a plain file: restore the one that the run wrote")
    elif digest(file) != said:
        yield Finding("error", file, "", "is not the file that was written: its sha256 is not the record's")


def _other(file: Path, entry: os.DirEntry[str], record: RunRecord) -> Iterator[Finding]:
    if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
        yield Finding("error", file, "", "a link, folder or device: a run's folder holds plain files only")
    elif _JUDGEMENTS.fullmatch(entry.name):
        yield from _judgements(file, record)
    elif NOTE.fullmatch(entry.name):
        yield from _noted(file)
    elif entry.name.startswith("."):
        yield Finding("warning", file, "", "a hidden file that the record does not name: remove it before submitting")
    else:
        yield Finding("error", file, "", "not part of a record: remove it")


def _judgements(file: Path, record: RunRecord) -> Iterator[Finding]:
    try:
        made = read_judgements(file)
    except RecordError as error:
        yield Finding("error", file, "", str(error).removeprefix(f"{file}: "))
        return
    if made.samples != record.files.get(SAMPLES):
        yield Finding("error", file, "samples", "judged other answers than those of the record: judge again")


def _noted(file: Path) -> Iterator[Finding]:
    try:
        note = read_note(file)
    except RecordError as error:
        yield Finding("error", file, "", str(error).removeprefix(f"{file}: "))
        return
    yield from check_texts(file, asdict(note))
    if note.record != digest(file.parent / RECORD):
        yield Finding("warning", file, "record", "is about an earlier state of this record: it says nothing now")
