"""ZsRE in MEND's schema (also with EasyEdit's portability questions) and in KnowEdit's.

MEND:      subject, src, alt, answers, rephrase, loc, loc_ans (and pred: what MEND's model said)
KnowEdit:  subject, prompt, target_new, ground_truth, rephrase_prompt, locality, portability

Which answer is written differs between code bases. `load` and `load_cloze` write `alt` (KnowEdit calls it target_new),
a wrong answer, as EasyEdit does; `load_true` writes answers[0], the right one, as ROME and MEMIT do, and knows no old
answer. The prompt is the question, except in `load_cloze`: there it is a statement to complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from editharness.data.cases import collect, counted, find_subject, paraphrases, questions
from editharness.data.questions import completion, fallback
from editharness.data.records import Record, RecordFault
from editharness.types import Case, CaseSet, Question
from editharness_plugins.datasets.knowedit import probes

_NATURAL_QUESTIONS = "nq question: "


def load(path: Path) -> CaseSet:
    """Questions, with the wrong answer (`alt`) as the target; raises DataError."""
    return collect("zsre", path, _read)


def load_cloze(path: Path) -> CaseSet:
    """As `load`, each question rewritten as a statement to complete; the question stays in `question`."""
    return collect(
        "zsre_cloze", path, lambda record, quirks: [_as_cloze(case, quirks) for case in _read(record, quirks)]
    )


def load_true(path: Path) -> CaseSet:
    """Questions, with the right answer (`answers[0]`) as the target and no old answer (MEND's schema only)."""
    return collect("zsre_true", path, _read_true)


def _read(record: Record, quirks: Counter[str]) -> Iterable[Case]:
    case = _mend(record, quirks) if record.has("src") else _knowedit(record, quirks)
    counted(
        quirks,
        {
            "paraphrase lacks the subject": any(case.subject_text not in text for text in case.paraphrases),
            "several old answers": bool(case.old_aliases),
            "prompt not ASCII": not case.prompt.isascii(),
        },
    )
    yield case


def _read_true(record: Record, quirks: Counter[str]) -> Iterable[Case]:
    case = _mend(record, quirks)
    yield replace(case, target=case.old, target_aliases=case.old_aliases, old="", old_aliases=())


def _mend(record: Record, quirks: Counter[str]) -> Case:
    question = record.text("src")
    truth = record.answers("answers")
    near = [(_neighbour(record.text("loc")), record.answers("loc_ans"))] if record.has("loc") else []
    return Case(
        id=f"zsre-{record.number}",
        prompt=question,
        subject=find_subject(question, record.text("subject")),
        target=record.text("alt"),
        old=truth[0],
        old_aliases=truth[1:],
        question=question,
        paraphrases=paraphrases(question, record.texts("rephrase"), quirks),
        neighbours=questions(near, quirks),
        portability=_portability(record, quirks),
    )


def _neighbour(text: str) -> str:
    """ROME asks the neighbouring question with its mark and a question mark, which the file leaves out."""
    return text if text.endswith("?") or not text.startswith(_NATURAL_QUESTIONS) else f"{text}?"


def _portability(record: Record, quirks: Counter[str]) -> tuple[Question, ...]:
    if not record.has("portability"):
        return ()
    asked = record.record("portability")
    return questions([(asked.text("New Question"), asked.answers("New Answer"))], quirks)


def _knowedit(record: Record, quirks: Counter[str]) -> Case:
    if not record.has("prompt"):
        raise RecordFault("src", "is missing, and so is 'prompt'")
    question = record.text("prompt")
    truth = record.answers("ground_truth")
    return Case(
        id=f"zsre-{record.number}",
        prompt=question,
        subject=find_subject(question, record.text("subject")),
        target=record.text("target_new"),
        old=truth[0],
        old_aliases=truth[1:],
        question=question,
        paraphrases=paraphrases(question, record.texts("rephrase_prompt"), quirks),
        neighbours=probes(record, "locality", quirks),
        portability=probes(record, "portability", quirks),
    )


def _as_cloze(case: Case, quirks: Counter[str]) -> Case:
    made = completion(case.prompt, case.subject)
    quirks["question quoted in the prompt"] += made.rule == "fallback"
    statement = None if "{}" in made.prompt else f"{made.prompt} {{}}"
    others = tuple(_cloze_of(text, case.subject_text) for text in case.paraphrases)
    return replace(case, prompt=made.prompt, subject=made.subject, statement=statement, paraphrases=others)


def _cloze_of(question: str, subject: str) -> str:
    at = question.find(subject)
    make = completion if at >= 0 else fallback
    return make(question, (max(at, 0), max(at, 0) + len(subject))).prompt
