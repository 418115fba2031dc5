"""Own data: the cases that `editharness data build` makes of question-answer pairs.

JSON Lines in the schema of `editharness.data.own.case_file`. `load` asks the question itself, as QAEdit does;
`load_cloze` asks its completion ("The mother of Ada is"), leaves out the cases that have none, and takes the question,
quoted in a sentence to complete, as a paraphrase.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from editharness.data.cases import collect, counted
from editharness.data.own.case_file import problems, read_case
from editharness.data.questions import fallback
from editharness.data.records import Record, RecordFault
from editharness.types import Case, CaseSet


def load(path: Path) -> CaseSet:
    """Read a file of built cases; the prompt is the question. Raises DataError."""
    return collect("own", path, lambda record, quirks: [_read(record, quirks)])


def load_cloze(path: Path) -> CaseSet:
    """As `load`, with the completion as the prompt. Raises DataError."""
    return collect("own_cloze", path, _read_cloze)


def _read(record: Record, quirks: Counter[str]) -> Case:
    """One case; what `editharness data check` finds fault with is left out and named."""
    own = read_case(record)
    for field, reason in problems(own):
        raise RecordFault(field, reason)
    counted(
        quirks,
        {
            "subject by a rule": own.made_by["subject"][0].startswith("rule:"),
            "target made, not given": own.made_by["target"] != ("given",),
            "no paraphrase": not own.paraphrases,
            "no neighbour": not own.neighbours,
        },
    )
    return Case(
        id=own.id,
        prompt=own.question,
        subject=own.subject,
        target=own.target,
        target_aliases=own.target_aliases,
        old=own.old,
        old_aliases=own.old_aliases,
        question=own.question,
        statement=f"{own.completion} {{}}" if own.completion and "{}" not in own.completion else None,
        paraphrases=own.paraphrases,
        neighbours=own.neighbours,
        answer_type=own.answer_type,
    )


def _read_cloze(record: Record, quirks: Counter[str]) -> Iterable[Case]:
    own, case = read_case(record), _read(record, quirks)
    if not own.completion:
        raise RecordFault("completion", "is empty: no rule made a statement of the question")
    asked = [own.question]
    pairs = zip(own.paraphrases, own.made_by["paraphrases"], strict=True)
    asked += [text for text, maker in pairs if not maker.startswith("rule:")]
    quoted = tuple(fallback(text, (0, 0)).prompt for text in asked)
    yield replace(case, prompt=own.completion, subject=own.completion_subject, paraphrases=quoted)
