"""The file of cases that `editharness data build` writes and the data set `own` reads: JSON Lines, one case a line.

schema 1, id, question, subject, subject_span [start, end], target, target_aliases, old, old_aliases, paraphrases,
completion and completion_span (null where no rule makes a statement of the question), neighbours [{prompt, answer,
aliases}], answer_type, and made_by: for each of `MADE` a list that says of every value who made it ("given",
"rule:NAME", "server:MODEL").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from editharness.data.records import Record, RecordFault, kind_of, read_records
from editharness.types import Question, Skipped, Span

SCHEMA: Final = 1
MADE: Final = ("question", "subject", "target", "old", "paraphrases", "completion", "neighbours")
MadeBy = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class OwnCase:
    """One case as the file holds it; `subject` is a span of the question, `completion_subject` of the completion."""

    id: str
    question: str
    subject: Span
    target: str
    made_by: MadeBy
    target_aliases: tuple[str, ...] = ()
    old: str = ""
    old_aliases: tuple[str, ...] = ()
    paraphrases: tuple[str, ...] = ()
    completion: str = ""
    completion_subject: Span = (0, 0)
    neighbours: tuple[Question, ...] = ()
    answer_type: str = ""

    @property
    def subject_text(self) -> str:
        """The subject as it stands in the question."""
        return self.question[self.subject[0] : self.subject[1]]

    def to_json(self) -> dict[str, Any]:
        """The object that stands on the case's line."""
        near = [{"prompt": n.prompt, "answer": n.answer, "aliases": list(n.aliases)} for n in self.neighbours]
        return {
            "schema": SCHEMA,
            "id": self.id,
            "question": self.question,
            "subject": self.subject_text,
            "subject_span": list(self.subject),
            "target": self.target,
            "target_aliases": list(self.target_aliases),
            "old": self.old,
            "old_aliases": list(self.old_aliases),
            "paraphrases": list(self.paraphrases),
            "completion": self.completion or None,
            "completion_span": list(self.completion_subject) if self.completion else None,
            "neighbours": near,
            "answer_type": self.answer_type,
            "made_by": {name: list(self.made_by.get(name, ())) for name in MADE},
        }


def read_case(record: Record) -> OwnCase:
    """Read one line; raises RecordFault with the field that does not fit the schema."""
    if record.fields.get("schema") != SCHEMA:
        raise RecordFault("schema", f"is {record.fields.get('schema')!r}, not {SCHEMA}")
    question, completion = record.text("question"), record.optional("completion")
    case = OwnCase(
        id=_filled(record, "id"),
        question=question,
        subject=_span(record, "subject_span", question),
        target=record.text("target"),
        target_aliases=record.texts("target_aliases"),
        old=record.optional("old"),
        old_aliases=record.texts("old_aliases"),
        paraphrases=record.texts("paraphrases"),
        completion=completion,
        completion_subject=_span(record, "completion_span", completion) if completion else (0, 0),
        neighbours=tuple(_neighbour(item) for item in record.records("neighbours")),
        answer_type=record.optional("answer_type"),
        made_by=_made_by(record),
    )
    _check_counts(case)
    return case


def problems(case: OwnCase) -> Iterator[tuple[str, str]]:
    """What makes a case of the right form unusable or misleading: (field, reason)."""
    if not any(letter.isalnum() for letter in case.target):
        yield "target", "has no letter or digit" if case.target else "is empty"
    if case.target.casefold() in {old.casefold() for old in (case.old, *case.old_aliases)}:
        yield "target", f"{case.target!r} is the old answer"
    asked = {"question": (case.question,), "completion": (case.completion,), "paraphrases": case.paraphrases}
    for field, texts in asked.items():
        for answer in filter(None, (case.target, case.old)):
            if any(holds(text, answer) for text in texts):
                yield field, f"gives the answer {answer!r} away"
    if case.question in case.paraphrases:
        yield "paraphrases", "holds the question itself"
    if len(set(case.paraphrases)) < len(case.paraphrases):
        yield "paraphrases", "holds one wording twice"
    for near in case.neighbours:
        if case.subject_text.casefold() in near.prompt.casefold():
            yield "neighbours", f"{near.prompt!r} is about the subject itself"


def holds(text: str, answer: str) -> bool:
    """Whether a text holds an answer as whole words, in any case."""
    return re.search(rf"(?<!\w){re.escape(answer.casefold())}(?!\w)", text.casefold()) is not None


def check_file(path: Path) -> tuple[int, list[Skipped]]:
    """Number of records, and everything that is wrong with any of them; raises DataError where nothing can be read."""
    file = read_records(path)
    found = list(file.skipped)
    seen: dict[tuple[str, str], int] = {}
    for record in file.records:
        try:
            case = read_case(record)
        except RecordFault as fault:
            found.append(Skipped(record.number, fault.field, fault.reason))
            continue
        found += [Skipped(record.number, field, reason) for field, reason in problems(case)]
        for key in (("id", case.id), ("question", case.question)):
            first = seen.setdefault(key, record.number)
            if first != record.number:
                found.append(Skipped(record.number, key[0], f"is the same as in record {first}"))
    found.sort(key=lambda one: one.record)
    return len(file.records) + len(file.skipped), found


def _filled(record: Record, name: str) -> str:
    text = record.text(name)
    if not text:
        raise RecordFault(record.at + name, "is empty")
    return text


def _span(record: Record, name: str, text: str) -> Span:
    """A span that cuts the record's subject out of `text`."""
    span = record.fields.get(name)
    if not (isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)):
        raise RecordFault(name, f"is {kind_of(span)}, not two numbers [start, end]")
    start, end = span
    if not 0 <= start < end <= len(text) or text[start:end] != record.text("subject"):
        raise RecordFault(name, f"{span} does not cut the subject out of its text")
    return start, end


def _neighbour(item: Record) -> Question:
    return Question(_filled(item, "prompt"), _filled(item, "answer"), item.texts("aliases"))


def _made_by(record: Record) -> MadeBy:
    made = record.record("made_by")
    return {name: _makers(made, name) for name in MADE}


def _makers(made: Record, name: str) -> tuple[str, ...]:
    found = made.fields.get(name)
    if not isinstance(found, list) or not all(isinstance(maker, str) and maker.strip() for maker in found):
        raise RecordFault(made.at + name, f"is {kind_of(found)}, not a list of who made each value")
    return tuple(found)


def _check_counts(case: OwnCase) -> None:
    """Every value has its maker, and no maker is without a value."""
    values: dict[str, Iterable[object]] = {
        "question": [case.question],
        "subject": [case.subject],
        "target": [case.target],
        "old": [case.old] if case.old else [],
        "paraphrases": case.paraphrases,
        "completion": [case.completion] if case.completion else [],
        "neighbours": case.neighbours,
    }
    for name, there in values.items():
        count, told = len(list(there)), len(case.made_by[name])
        if count != told:
            raise RecordFault(f"made_by.{name}", f"names {told} makers of {count} values")
