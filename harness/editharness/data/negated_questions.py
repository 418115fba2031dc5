"""Negated questions as a variant of their own: "Which city is not the capital of Kenya?", for any case with a question.

The question is negated in place by the rules of `negation.negate_question`. After the edit the target is the one
answer that is wrong. Two limits: nearly every other answer is right, so there is no gold answer, and "not" comes
before the subject in about half of the questions, so that the key at the subject's last token is another one
(`key_kept` tells which).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from editharness.data.adverbs import Refusal
from editharness.data.cases import find_subject
from editharness.data.clauses import is_negative
from editharness.data.negation import negate_question
from editharness.data.records import RecordFault
from editharness.data.words import PREPOSITIONS, words
from editharness.types import Case, Span

_PLACES: Final = PREPOSITIONS | {"where", "when"}


@dataclass(frozen=True)
class NegatedQuestion:
    """A negated question, its subject's place, and whether all up to the subject is as in the plain question."""

    question: str
    subject: Span
    key_kept: bool
    rule: str


def negated_question(case: Case) -> NegatedQuestion | Refusal:
    """The case's question, negated, or why there is none."""
    if case.question is None:
        return Refusal("no question")
    try:
        start, end = case.subject if case.question == case.prompt else find_subject(case.question, case.subject_text)
    except RecordFault:
        return Refusal("the question does not name the subject")
    before, after = case.question[:start], case.question[end:]
    if is_negative(before) or is_negative(after):
        return Refusal("negative already")
    made = negate_question(case.question, (start, end))
    if made is None or "not," in made.prompt:
        return Refusal("a question of no known build")
    if made.rule == "after_be" and words(before)[0].low in _PLACES:
        return _not_last(case.question, (start, end))
    kept = made.prompt.startswith(case.question[:end])
    moved = 0 if kept else len(made.prompt) - len(_marked(case.question))
    if made.prompt[start + moved : end + moved] != case.subject_text:
        return Refusal("the subject cannot be found again")
    return NegatedQuestion(made.prompt, (start + moved, end + moved), kept, made.rule)


def _marked(question: str) -> str:
    """The question with its question mark."""
    return question.rstrip().removesuffix("?").rstrip() + "?"


def _not_last(question: str, subject: Span) -> NegatedQuestion | Refusal:
    """ "In which country is X not?": after a place or a time "not" goes behind the noun phrase, if that is last."""
    if question[subject[1] :].strip(" ?"):
        return Refusal("a question of no known build")
    return NegatedQuestion(_marked(question)[:-1] + " not?", subject, True, "last")


def question_coverage(cases: Iterable[Case]) -> Counter[str]:
    """How many questions were negated, with the key kept or moved, and how many refused, by reason."""
    counts: Counter[str] = Counter()
    for case in cases:
        made = negated_question(case)
        if isinstance(made, Refusal):
            counts[made.reason] += 1
        else:
            counts["made, key kept" if made.key_kept else "made, key moved"] += 1
    return counts
