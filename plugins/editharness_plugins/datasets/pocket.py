"""Pocket: the facts that the packaged model was trained on, with every form of question about each.

JSON Lines: id, relation, prompt, subject, subject_span, old, old_aliases, target, target_aliases, answer_type,
negated_prompt, question, statement, paraphrases, neighbours [{prompt, answer}], portability [{prompt, answer}],
training_forms [[kind, prompt]], split, trained, missing_form. A fact that the model was never taught has the tag
"untrained"; one that it was taught without one form of question ("negated", say) has the tag "missing:negated".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import cast, get_args

from editharness.data.cases import collect, paraphrases, questions
from editharness.data.records import Record, RecordFault, kind_of
from editharness.types import Case, CaseSet, FormKind, Question, Span, Split

_KINDS = get_args(FormKind)
_SPLITS = ("train", "dev", "test")


def load(path: Path) -> CaseSet:
    """Read a file in pocket's schema; raises DataError.

    The file goes relation by relation; cases are ordered by a hash of their id, so that the first N are a fair draw.
    """
    found = collect("pocket", path, _read)
    return replace(found, cases=tuple(sorted(found.cases, key=lambda case: sha256(case.id.encode()).digest())))


def _read(record: Record, quirks: Counter[str]) -> Iterable[Case]:
    prompt = record.text("prompt")
    yield Case(
        id=record.text("id"),
        prompt=prompt,
        subject=_span(record, prompt),
        target=record.text("target"),
        target_aliases=record.texts("target_aliases"),
        old=record.text("old"),
        old_aliases=record.texts("old_aliases"),
        negated_prompt=record.optional("negated_prompt") or None,
        question=record.optional("question") or None,
        statement=_statement(record),
        paraphrases=paraphrases(prompt, record.texts("paraphrases"), quirks),
        neighbours=_probes(record, "neighbours", quirks),
        portability=_probes(record, "portability", quirks),
        training_forms=_forms(record),
        relation=record.optional("relation"),
        answer_type=record.optional("answer_type"),
        split=_split(record),
        tags=_tags(record),
    )


def _span(record: Record, prompt: str) -> Span:
    """The span as the file gives it; it must cut the subject out of the prompt."""
    span = record.fields.get("subject_span")
    if not (isinstance(span, list) and len(span) == 2 and all(type(end) is int for end in span)):
        raise RecordFault("subject_span", f"is {kind_of(span)}, not two numbers [start, end]")
    start, end = span
    if not 0 <= start < end <= len(prompt) or prompt[start:end] != record.text("subject"):
        raise RecordFault("subject_span", f"{span} does not cut the subject out of the prompt")
    return start, end


def _statement(record: Record) -> str | None:
    found = record.optional("statement") or None
    if found is not None and found.count("{}") != 1:
        raise RecordFault("statement", "needs {} exactly once, where the answer goes")
    return found


def _probes(record: Record, name: str, quirks: Counter[str]) -> tuple[Question, ...]:
    return questions([(item.text("prompt"), item.answers("answer")) for item in record.records(name)], quirks)


def _forms(record: Record) -> tuple[tuple[FormKind, str], ...]:
    """Pairs of a kind and a prompt; a judged one has "{}" where the answer goes."""
    found = record.fields.get("training_forms") or []
    for pair in found if isinstance(found, list) else [found]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise RecordFault("training_forms", f"holds {kind_of(pair)}, not a kind and a prompt")
        kind, prompt = pair
        if kind not in _KINDS:
            raise RecordFault("training_forms", f"has the kind {kind!r}, not one of {', '.join(_KINDS)}")
        if kind == "judged" and prompt.count("{}") != 1:
            raise RecordFault("training_forms", "needs {} exactly once in a judged prompt, where the answer goes")
    return tuple((kind, prompt) for kind, prompt in found)


def _split(record: Record) -> Split:
    found = record.optional("split", "test")
    if found not in _SPLITS:
        raise RecordFault("split", f"is {found!r}, not one of {', '.join(_SPLITS)}")
    return cast("Split", found)


def _tags(record: Record) -> frozenset[str]:
    missing = record.optional("missing_form")
    untrained = {"untrained"} if record.fields.get("trained") is False else set()
    return frozenset(untrained | ({f"missing:{missing}"} if missing else set()))
