"""From records to cases: the checks that every data set shares, and the counts of what was left out.

Left out and named: empty targets, targets without a letter or digit, targets equal to the old answer, prompts without
their subject, prompts that came before (the first is kept; another target for it is counted as "conflict").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from editharness.data.records import Record, RecordFault, RecordFile, read_records
from editharness.data.templates import SLOT
from editharness.errors import DataError
from editharness.types import Case, CaseSet, Question, Skipped, Span

Reader = Callable[[Record, "Counter[str]"], Iterable[Case]]
"""Turns one record into cases (mostly one) and counts the quirks it met; raises RecordFault."""


class NoCase(DataError):
    """A file none of whose records became a case; `skipped` names every one of them."""

    def __init__(self, text: str, skipped: Iterable[Skipped]) -> None:
        super().__init__(text)
        self.skipped = tuple(skipped)


def collect(name: str, path: Path, read: Reader) -> CaseSet:
    """Read a file into a CaseSet; raises DataError where the file cannot be read or none of its records fits."""
    file = read_records(path)
    gathered = _Gathered(list(file.skipped))
    for record in file.records:
        try:
            for case in read(record, gathered.quirks):
                gathered.add(record.number, case)
        except RecordFault as fault:
            gathered.skip(record.number, fault)
    _refuse_empty(name, file, gathered)
    skipped = tuple(sorted(gathered.skipped, key=lambda one: one.record))
    return CaseSet(name, tuple(gathered.cases.values()), skipped, file.sha256, dict(sorted(gathered.quirks.items())))


@dataclass
class _Gathered:
    skipped: list[Skipped]
    cases: dict[str, Case] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    quirks: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, case: Case) -> None:
        """Check a case and keep it, unless its prompt is known."""
        check(case)
        known = self.prompts.get(case.prompt)
        if known is not None:
            conflict = known.casefold() != case.target.casefold()
            self.quirks["conflict" if conflict else "duplicate prompt"] += 1
            raise RecordFault("prompt", "came before" + (" with another target" if conflict else ""))
        name = case.id if case.id not in self.cases else f"{case.id}.{number}"
        self.quirks["repeated id"] += name != case.id
        self.prompts[case.prompt] = case.target
        self.cases[name] = replace(case, id=name, tags=case.tags | _tags(case))

    def skip(self, number: int, fault: RecordFault) -> None:
        """Name a record that became no case."""
        self.skipped.append(Skipped(number, fault.field, fault.reason))


def _refuse_empty(name: str, file: RecordFile, gathered: _Gathered) -> None:
    if gathered.cases:
        gathered.quirks = +gathered.quirks
        return
    first = gathered.skipped[0]
    where = f"field {first.field!r} " if first.field else ""
    raise NoCase(
        f"data set {name!r}: {file.path}: none of its {len(file.records)} records fits; "
        f"record {first.record}: {where}{first.reason}",
        sorted(gathered.skipped, key=lambda one: one.record),
    )


def check(case: Case) -> None:
    """Raise RecordFault where a case cannot be used."""
    if not case.target:
        raise RecordFault("target", "is empty")
    if not any(letter.isalnum() for letter in case.target):
        raise RecordFault("target", f"{case.target!r} has no letter or digit")
    if case.target.casefold() in {old.casefold() for old in (case.old, *case.old_aliases)}:
        raise RecordFault("target", f"{case.target!r} is the old answer")


def _tags(case: Case) -> frozenset[str]:
    name = case.subject_text.casefold()
    found = {"answer_in_subject": case.old, "target_in_subject": case.target}
    return frozenset(tag for tag, answer in found.items() if answer and answer.casefold() in name)


def find_subject(prompt: str, subject: str) -> Span:
    """Where the subject stands: its first occurrence as whole words, else its first; raises RecordFault."""
    if not subject:
        raise RecordFault("subject", "is empty")
    first = at = prompt.find(subject)
    while at >= 0:
        end = at + len(subject)
        if not (_is_word(prompt[at - 1 : at]) or _is_word(prompt[end : end + 1])):
            return at, end
        at = prompt.find(subject, at + 1)
    if first < 0:
        raise RecordFault("subject", f"{subject!r} does not occur in the prompt")
    return first, first + len(subject)


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def fill(template: str, subject: str) -> tuple[str, Span]:
    """A template with its one "{}" filled in, and where; a prompt without "{}" must hold the subject itself."""
    if template.count(SLOT) > 1:
        raise RecordFault("prompt", f"{template!r} holds {SLOT} more than once")
    at = template.find(SLOT)
    if at < 0:
        return template, find_subject(template, subject)
    if not subject:
        raise RecordFault("subject", "is empty")
    return template[:at] + subject + template[at + len(SLOT) :], (at, at + len(subject))


def questions(pairs: Iterable[tuple[str, tuple[str, ...]]], quirks: Counter[str]) -> tuple[Question, ...]:
    """Probes from (prompt, answers); one without prompt or answer is left out and counted."""
    kept: list[Question] = []
    for prompt, answers in pairs:
        if prompt and answers and answers[0]:
            kept.append(Question(prompt, answers[0], tuple(alias for alias in answers[1:] if alias)))
        else:
            quirks["probe without prompt or answer"] += 1
    return tuple(kept)


def paraphrases(prompt: str, texts: Iterable[str], quirks: Counter[str]) -> tuple[str, ...]:
    """Other wordings of a prompt: without a list mark ("- "), without empty ones and without the prompt itself."""
    kept: dict[str, None] = {}
    for text in texts:
        bare = text.removeprefix("- ")
        quirks["paraphrase with a list mark"] += bare != text
        if bare == prompt:
            quirks["paraphrase equals prompt"] += 1
        elif bare:
            kept[bare] = None
    return tuple(kept)


def counted(quirks: Counter[str], found: Mapping[str, bool]) -> None:
    """Add to the counts those quirks that were found."""
    quirks.update(name for name, there in found.items() if there)
