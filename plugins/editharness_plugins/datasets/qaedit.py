"""QAEdit: questions of three question answering sets (NQ, TriviaQA, SimpleQA) with their right answers as targets.

id, source, prompt (a question), subject, target, rephrase, locality [{loc, loc_ans}]. There is no old answer. An id is
unique only together with its source, which every case has as a tag ("source:NQ"). Mended here: doubled quotes left over
from CSV, a footnote sign after a target. Left as they are, and counted: questions without a question mark or in lower
case, targets that end in a full stop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from editharness.data.cases import collect, counted, find_subject, paraphrases, questions
from editharness.data.questions import fallback
from editharness.data.records import Record
from editharness.types import Case, CaseSet

_LONG_WORDS = 8


def load(path: Path) -> CaseSet:
    """Read a QAEdit file; the prompt is the question. Raises DataError."""
    return collect("qaedit", path, _read)


def load_cloze(path: Path) -> CaseSet:
    """As `load`, with 'The answer to the question "..." is' as the prompt: rules fail on these questions."""
    return collect("qaedit_cloze", path, lambda record, quirks: [_as_cloze(case) for case in _read(record, quirks)])


def _read(record: Record, quirks: Counter[str]) -> Iterable[Case]:
    raw = record.text("prompt")
    question, subject = _unquoted(raw), _unquoted(record.text("subject"))
    target = record.text("target")
    bare = target.removesuffix("*").rstrip()
    counted(
        quirks,
        {
            "doubled quotes": question != raw,
            "footnote sign": bare != target,
            "no question mark": not question.endswith("?"),
            "lower case": question == question.lower(),
            "target ends in a full stop": bare.endswith("."),
            "target over 8 words": len(bare.split()) > _LONG_WORDS,
        },
    )
    near = [(item.text("loc"), item.answers("loc_ans")) for item in record.records("locality")]
    source = record.optional("source")
    yield Case(
        id=f"qaedit-{source or 'x'}-{record.fields.get('id', record.number)}",
        prompt=question,
        subject=find_subject(question, subject),
        target=bare,
        question=question,
        paraphrases=paraphrases(question, map(_unquoted, record.texts("rephrase")), quirks),
        neighbours=questions(near, quirks),
        tags=frozenset({f"source:{source}"} if source else ()),
    )


def _unquoted(text: str) -> str:
    return text.replace('""', '"')


def _as_cloze(case: Case) -> Case:
    made = fallback(case.prompt, case.subject)
    others = tuple(fallback(text, (0, 0)).prompt for text in case.paraphrases)
    statement = None if "{}" in made.prompt else f"{made.prompt} {{}}"
    return replace(case, prompt=made.prompt, subject=made.subject, statement=statement, paraphrases=others)
