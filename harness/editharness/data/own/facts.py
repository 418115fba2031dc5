"""A person's own facts: JSON Lines (or a JSON array), one fact a line; what `editharness edit --edits` reads.

    {"subject": "Kenya", "prompt": "The capital of {} is", "target": "Rome"}

The prompt has "{}" where the subject stands, or holds the subject itself. `old` (what was right before) and `id` may be
given as well. Nothing is guessed and nothing left out: the first record that does not fit stops the reader.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from editharness.data.cases import check, fill
from editharness.data.records import Record, RecordFault, read_records
from editharness.errors import DataError, UnknownNameError
from editharness.types import Case, Skipped

NEEDED: Final = ("subject", "prompt", "target")
FIELDS: Final = (*NEEDED, "old", "id")


@dataclass(frozen=True)
class FactFile:
    """The facts of a file in its order, and the file's SHA-256."""

    cases: tuple[Case, ...]
    sha256: str


def read_facts(path: Path) -> FactFile:
    """Read a file of facts; raises DataError that names the first record that is wrong, and how many more are."""
    number, found, cases, sha256 = _read(path)
    if found:
        first, records = found[0], {one.record for one in found}
        where = f"field {first.field!r} " if first.field else ""
        more = f" ({len(records)} of {number} records are wrong: editharness data check)" if len(records) > 1 else ""
        raise DataError(f"{path}: record {first.record}: {where}{first.reason}{more}")
    return FactFile(tuple(cases), sha256)


def check_facts(path: Path) -> tuple[int, list[Skipped]]:
    """Number of records, and what is wrong with any of them; raises DataError where nothing can be read."""
    return _read(path)[:2]


def holds_facts(path: Path) -> bool:
    """Whether a file's records are facts rather than the cases that `editharness data build` writes (`schema`)."""
    records = read_records(path).records
    return any(record.has("prompt") for record in records) and not any(record.has("schema") for record in records)


def read_fact(record: Record) -> Case:
    """One fact as a case; raises RecordFault with the field that is wrong. White space inside a text is kept."""
    for name in record.fields:
        if name not in FIELDS:
            raise RecordFault("", str(UnknownNameError("field", str(name), FIELDS, "(of a fact)")))
    subject, prompt, target = (_given(record, name) for name in NEEDED)
    text, span = fill(prompt, subject)
    if text[: span[0]] == text[span[1] :] == "":
        raise RecordFault("prompt", "is the subject alone: write the sentence up to where the target follows")
    case = Case(_id(record), text, span, target, record.optional("old"))
    check(case)
    return case


def _read(path: Path) -> tuple[int, list[Skipped], list[Case], str]:
    file = read_records(path)
    seen = _Seen()
    found, cases = list(file.skipped), []
    for record in file.records:
        try:
            case = read_fact(record)
            seen.add(record.number, case)
            cases.append(case)
        except RecordFault as fault:
            found.append(Skipped(record.number, fault.field, fault.reason))
    found.sort(key=lambda one: one.record)
    return len(file.records) + len(file.skipped), found, cases, file.sha256


@dataclass(frozen=True)
class _Seen:
    """Which record first had an id or a prompt."""

    ids: dict[str, int] = field(default_factory=dict)
    prompts: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, number: int, case: Case) -> None:
        """Raise RecordFault for an id or prompt that came before."""
        first, target = self.prompts.setdefault(case.prompt, (number, case.target))
        if first != number:
            other = "" if target == case.target else f" with the target {target!r}"
            raise RecordFault("prompt", f"came before, in record {first}{other}")
        if self.ids.setdefault(case.id, number) != number:
            raise RecordFault("id", f"{case.id!r} came before, in record {self.ids[case.id]}")


def _given(record: Record, name: str) -> str:
    """A text as it was written, without white space at its ends; a prompt of several lines stays one."""
    if not record.text(name):
        raise RecordFault(name, "is empty")
    return str(record.fields[name]).strip()


def _id(record: Record) -> str:
    """The fact's own id, which may be a number; else its place in the file."""
    given = record.fields.get("id")
    return str(given) if type(given) is int else record.optional("id") or str(record.number)
