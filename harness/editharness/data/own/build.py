"""Pairs -> cases: subject, paraphrase, completion, a wrong answer to write, and questions that must not change.

Whoever makes subject and paraphrase (`Rules` here, or a server) raises RecordFault where nothing usable comes out. The
field then stays empty and the row is reported; nobody else steps in. A case without subject or target is left out, and
so is one that `case_file.problems` finds fault with.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from editharness.data.cases import find_subject
from editharness.data.own.case_file import MadeBy, OwnCase, holds, problems
from editharness.data.own.pairs import Pair
from editharness.data.own.relations import Asked, Neighbours, answer_form, answer_kind
from editharness.data.own.rephrase import rephrase_by_rules, statement_of_question
from editharness.data.own.subject import find_by_rules
from editharness.data.records import RecordFault
from editharness.types import Question, Skipped, Span

Write = Literal["other", "answer"]
"""What is written where no new answer is given: another row's answer, or (as in QAEdit) the right one."""

Progress = Callable[[int], None]
GIVEN = "given"


class Maker(Protocol):
    """Makes what a pair lacks; `name` stands in the cases' made_by. Both raise RecordFault."""

    def subject(self, question: str) -> tuple[Span, str]:
        """The subject's span, and who found it."""

    def paraphrase(self, question: str, subject: Span) -> tuple[str, str]:
        """The question in other words, and who made it."""


class Rules:
    """Makes subject and paraphrase by rules, offline."""

    def subject(self, question: str) -> tuple[Span, str]:
        """By `subject.find_by_rules`."""
        found = find_by_rules(question)
        if found is None:
            raise RecordFault("subject", "is found by no rule; give it in a column")
        return found.span, f"rule:{found.rule}"

    def paraphrase(self, question: str, subject: Span) -> tuple[str, str]:
        """By `rephrase.rephrase_by_rules`."""
        made = rephrase_by_rules(question, subject)
        return made.text, f"rule:{made.rule}"


@dataclass(frozen=True)
class Built:
    """The cases, the rows that became none, and fields that stayed empty."""

    cases: tuple[OwnCase, ...]
    left_out: tuple[Skipped, ...]
    gaps: tuple[Skipped, ...]


@dataclass(frozen=True)
class _Draft:
    """A pair with its subject."""

    pair: Pair
    subject: Span
    subject_by: str
    kind: str


def build(
    pairs: Sequence[Pair],
    maker: Maker,
    *,
    seed: int = 0,
    locality: int = 5,
    write: Write = "other",
    progress: Progress = lambda done: None,
) -> Built:
    """Cases from pairs, each with at most `locality` neighbours; equal input and seed give equal cases."""
    drafts, left_out, gaps, cases = [], [], [], []
    for pair in pairs:
        try:
            drafts.append(_draft(pair, maker))
        except RecordFault as fault:
            left_out.append(Skipped(pair.number, fault.field, fault.reason))
        progress(1)
    neighbours = Neighbours([Asked(d.pair.question, d.subject, d.pair.answer) for d in drafts], seed)
    targets = _Targets(drafts, seed)
    for number, draft in enumerate(drafts):
        try:
            target, target_by = targets.choose(draft, write)
            near = neighbours.choose(number, target, locality)
            case = _case(draft, target, target_by, [(drafts[other].pair, rule) for other, rule in near], write)
            case, missing = _with_paraphrase(case, maker, draft)
            _refuse(case)
        except RecordFault as fault:
            left_out.append(Skipped(draft.pair.number, fault.field, fault.reason))
        else:
            cases.append(case)
            gaps += [Skipped(draft.pair.number, field, reason) for field, reason in missing]
        progress(1)
    return Built(tuple(cases), tuple(sorted(left_out, key=lambda one: one.record)), tuple(gaps))


def _draft(pair: Pair, maker: Maker) -> _Draft:
    if pair.subject:
        span, made_by = find_subject(pair.question, pair.subject), GIVEN
    else:
        span, made_by = maker.subject(pair.question)
    return _Draft(pair, span, made_by, answer_kind(pair.question, pair.answer))


class _Targets:
    """Chooses what is written into the model."""

    def __init__(self, drafts: Sequence[_Draft], seed: int) -> None:
        self._seed = seed
        self._by_kind: dict[str, list[Pair]] = {}
        self._by_form: dict[str, list[Pair]] = {}
        for draft in drafts:
            self._by_kind.setdefault(draft.kind, []).append(draft.pair)
            self._by_form.setdefault(answer_form(draft.pair.answer), []).append(draft.pair)

    def choose(self, draft: _Draft, write: Write) -> tuple[str, str]:
        """The target and who made it: given, the right answer, or another row's of the same kind, else form."""
        pair = draft.pair
        if pair.new_answer:
            return pair.new_answer, GIVEN
        if write == "answer":
            return pair.answer, GIVEN
        rng = random.Random(f"{self._seed} {pair.number}")
        pools = (
            ("same kind", self._by_kind[draft.kind]),
            ("same form", self._by_form[answer_form(pair.answer)]),
        )
        for rule, pool in pools:
            drawn = (other.answer for other in rng.sample(pool, len(pool)))
            found = next((answer for answer in drawn if _is_other(pair, answer)), None)
            if found is not None:
                return found, f"rule:{rule}"
        raise RecordFault("target", f"no other row has an answer like {pair.answer!r}; give one in a column")


def _is_other(pair: Pair, answer: str) -> bool:
    known = {text.casefold() for text in (pair.answer, *pair.aliases)}
    return answer.casefold() not in known and not holds(pair.question, answer)


def _case(draft: _Draft, target: str, target_by: str, near: Sequence[tuple[Pair, str]], write: Write) -> OwnCase:
    """The case without paraphrase. The right answer is the old one, unless it is what is written."""
    pair = draft.pair
    right = write == "answer" and not pair.new_answer
    made = statement_of_question(pair.question, draft.subject)
    made_by: MadeBy = {
        "question": (GIVEN,),
        "subject": (draft.subject_by,),
        "target": (target_by,),
        "old": () if right else (GIVEN,),
        "paraphrases": (),
        "completion": (f"rule:{made.rule}",) if made else (),
        "neighbours": tuple(f"rule:{rule}" for _, rule in near),
    }
    return OwnCase(
        id=pair.id,
        question=pair.question,
        subject=draft.subject,
        target=target,
        target_aliases=pair.aliases if right else (),
        old="" if right else pair.answer,
        old_aliases=() if right else pair.aliases,
        completion=made.prompt if made else "",
        completion_subject=made.subject if made else (0, 0),
        neighbours=tuple(Question(other.question, other.answer, other.aliases) for other, _ in near),
        answer_type=draft.kind,
        made_by=made_by,
    )


def _with_paraphrase(case: OwnCase, maker: Maker, draft: _Draft) -> tuple[OwnCase, list[tuple[str, str]]]:
    """The case with its paraphrase, or without one and the reason."""
    try:
        text, made_by = maker.paraphrase(case.question, draft.subject)
        leak = next((answer for answer in (case.target, case.old) if answer and holds(text, answer)), None)
        if leak is not None and not holds(case.question, leak):
            raise RecordFault("paraphrases", f"{text!r} gives the answer {leak!r} away")
        if text == case.question:
            raise RecordFault("paraphrases", "is the question itself")
    except RecordFault as fault:
        return case, [(fault.field, fault.reason)]
    return replace(case, paraphrases=(text,), made_by={**case.made_by, "paraphrases": (made_by,)}), []


def _refuse(case: OwnCase) -> None:
    for field, reason in problems(case):
        raise RecordFault(field, reason)
