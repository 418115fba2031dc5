"""Files of cases, by the readers of data sets; and files of question-answer pairs, and of a person's own facts.

A reader leaves a record that does not fit out and counts it; here the first of them is the fault. Which reader a file
is for is told by trying them: the one that takes most records, else the one that gets furthest into the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import cast

from editharness.data.cases import NoCase
from editharness.data.own.case_file import check_file
from editharness.data.own.facts import check_facts
from editharness.data.own.pairs import read_pairs
from editharness.errors import DataError, FileFault, UnknownNameError
from editharness.registry import Registry
from editharness.types import Case, CaseSet, Skipped
from editharness.validating.lines import json_line, record_start, steps

PAIRS, FACTS = "pairs", "facts"
READERS = (PAIRS, FACTS)
"""What `reader` may be besides the name of a data set."""
_OWN = ("own", "own_cloze")
_MENDS = (
    ("is missing", "add it"),
    ("does not occur in the prompt", "write the subject as it stands in the prompt"),
    ("does not cut the subject", "count the characters [start, end) of the subject in its text, from 0"),
    ("is empty", "fill it in"),
    ("is the old answer", "write another answer, or take the record out: nothing would be edited"),
    ("came before", "take one of the two records out"),
    ("is the same as", "take one of the two records out, or give it another value"),
    ("no letter or digit", "write an answer that can be said"),
    ("more than once", "leave one {} where the subject goes"),
    ("not JSON", "correct the JSON there: quotes, commas, brackets"),
    ("not text", "write it in quotes"),
    ("gives the answer", "word it without the answer"),
)
_AT = re.compile(r" \(line (\d+), column \d+\)")
_MEND = "correct it, or take the record out"


_DERIVED = ("question", "statement")
"""Fields of a case that a reader may make of others."""


@dataclass(frozen=True)
class Read:
    """What one reader made of a file: how many cases (and the first of them), and what it left out, in order."""

    name: str
    cases: int
    skipped: Sequence[Skipped]
    case: Case | None = None

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The higher, the likelier that the file is meant for this reader: it reads most of it, and most fields."""
        filled = sum(bool(getattr(self.case, field.name, None)) for field in fields(Case) if field.name not in _DERIVED)
        return self.cases > 0 and self.cases >= len(self.skipped), filled if self.case else 0, self.cases


def validate(path: Path, registry: Registry, reader: str = "") -> str:
    """What was read, in words; raises FileFault for the first record that does not fit, DataError for the file."""
    try:
        found = _read_as(path, registry, reader) if reader else _guess(path, registry)
    except DataError as error:
        if (at := _AT.search(str(error))) is None:
            raise
        reason = str(error).removeprefix(f"data file {path}: ").replace(at[0], "")
        raise FileFault(path, int(at[1]), "", reason, "correct the quotes, commas or brackets there") from None
    if not found.skipped:
        return f"{found.cases} {found.name if found.name in READERS else 'cases'}, read as {found.name}"
    first = found.skipped[0]
    line = _line(path, first)
    mend = next((mend for words, mend in _MENDS if words in first.reason), _MEND)
    wrong = len({one.record for one in found.skipped})
    told = f" (record {first.record}, read as {found.name}; records that do not fit: {wrong})"
    raise FileFault(path, line, first.field, re.sub(r" \(line \d+, ", " (", first.reason), f"{mend}{told}")


def _line(path: Path, first: Skipped) -> int:
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if path.suffix == ".csv":
        return 0  # a cell may hold line breaks: the row's number is all that is known
    return json_line(text, steps(first.field), record_start(text, first.record))


def _read_as(path: Path, registry: Registry, name: str) -> Read:
    if name == PAIRS:
        pairs = read_pairs(path)
        return Read(PAIRS, len(pairs.pairs), sorted(pairs.skipped, key=lambda one: one.record))
    if name == FACTS:
        number, wrong = check_facts(path)
        return Read(FACTS, number - len({one.record for one in wrong}), wrong)
    if name not in registry.datasets:
        raise UnknownNameError("data set", name, [*registry.datasets, *READERS], hint="(in --as)")
    skipped = check_file(path)[1] if name in _OWN else []  # it names more than the reader leaves out
    read = cast("Callable[[Path], CaseSet]", registry.resolve(registry.dataset(name).ref))
    try:
        found = read(path)
    except NoCase as error:
        return Read(name, 0, skipped or error.skipped)
    return Read(name, len(found.cases), skipped or found.skipped, found.cases[0])


def _guess(path: Path, registry: Registry) -> Read:
    """The likeliest reader's; DataError where no reader can do anything with the file."""
    found: list[Read] = []
    reason = ""
    for one in _readings(path, registry):
        if isinstance(one, Read):
            found.append(one)
        else:
            reason = reason or one
    if not found:
        raise DataError(reason or f"{path}: no data set is registered that could read it")
    best = max(found, key=lambda one: one.rank)  # the first registered of several
    if best.cases == 0:
        best = max(found, key=lambda one: _depth(one.skipped[0]))
    if best.cases == 0 and _depth(best.skipped[0]) == 0:
        known = ", ".join(registry.datasets)
        mend = f"name the data set that it is for: --as NAME, one of {known}, or {' or '.join(READERS)}"
        raise FileFault(path, _line(path, best.skipped[0]), "", "no data set reads its records", mend)
    return best


def _depth(first: Skipped) -> int:
    """How far a reader got into a record: 0 where a field at the top is not there or of another kind."""
    if "." in first.field:
        return 2
    return int(not re.match("is missing|is .*, not ", first.reason))


def _readings(path: Path, registry: Registry) -> Iterator[Read | str]:
    for name in registry.datasets:
        try:
            yield _read_as(path, registry, name)
        except DataError as error:
            yield str(error)
    try:  # last, so that a data set's own reader wins where both take the file; a fact may be a case's beginning
        facts = _read_as(path, registry, FACTS)
    except DataError:
        return
    if facts.cases:
        yield facts
