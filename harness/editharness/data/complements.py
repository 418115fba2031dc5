"""Complement pairs beyond "not": six more ways to affirm and to deny one edit, made by rules or refused, never guessed.

    kind           affirming                                  denying
    never          The capital of K has indeed been           The capital of K has never been
    no_longer      The capital of K is now                    The capital of K is no longer
    false_that     It is true that the capital of K is        It is false that the capital of K is
    antonym        The capital of K is none other than        The capital of K is anything but
    contrast       The capital of K is not OLD but            The capital of K is TARGET, not
    contradictory  Is the capital of K a city in Asia? (yes)  Is the capital of K a city in Africa? (no)

The two prompts of a pair differ in few words, so that the target's likelihood can be compared under both. In the first,
second, fourth and fifth kind all up to and including the subject is the edit's own prompt, so the key at the subject's
last token is the same; the others put words before the subject and give its new place. `contrast` has one of the two
answers in its text. "X is OLD, not" is not made: a sentence that contradicts the edit has no right completion.
Grammar and meaning were judged on samples: docs/negation_plus.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from editharness.data.adverbs import FRAGMENT, LASTS, NO_PLACE, Refusal, Wordings, is_loose, never, no_longer
from editharness.data.answer_classes import CONTINENTS
from editharness.data.antonyms import by_antonym
from editharness.data.cases import find_subject
from editharness.data.clauses import is_negative
from editharness.data.denial import Denial, find_denial, join
from editharness.data.inference import by_inference, lowered
from editharness.data.negated import negated_case
from editharness.data.negation import negate
from editharness.data.records import RecordFault
from editharness.data.templates import SLOT
from editharness.data.words import ARTICLES, PREPOSITIONS
from editharness.types import Case, Span

Kind = Literal["never", "no_longer", "false_that", "antonym", "contrast", "contradictory"]
Expected = Literal["target is right", "target is wrong", "yes", "no"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_COMMA_THE: Final = re.compile(r", (?:the|an?)$")


@dataclass(frozen=True)
class Complement:
    """One prompt: what the edit's target means there (or the answer to its question), and where its subject stands."""

    kind: Kind
    prompt: str
    subject: Span
    expected: Expected
    rule: str


@dataclass(frozen=True)
class Pair:
    """The same fact affirmed and denied: target right and wrong, or yes and no."""

    affirming: Complement
    denying: Complement


def complement(case: Case, kind: Kind) -> Pair | Refusal:
    """The pair of one kind for one case, or why there is none."""
    if case.prompt == case.question:
        return Refusal("the prompt is a question")
    if is_negative(case.prompt[: case.subject[0]]) or is_negative(case.prompt[case.subject[1] :]):
        return Refusal("negative already")
    makers = {
        "never": _adverb,
        "no_longer": _adverb,
        "false_that": _false_that,
        "antonym": _antonym,
        "contrast": _contrast,
        "contradictory": _contradictory,
    }
    made = makers[kind](case, kind)
    if isinstance(made, Pair) and any("not not" in one.prompt for one in (made.affirming, made.denying)):
        return Refusal("negative already")
    return made


def complements(case: Case) -> Mapping[Kind, Pair | Refusal]:
    """Every kind for one case."""
    return {kind: complement(case, kind) for kind in KINDS}


def coverage(cases: Iterable[Case]) -> Mapping[Kind, Counter[str]]:
    """Per kind, how many pairs were made ("made") and how many were refused, by reason."""
    counts: dict[Kind, Counter[str]] = {kind: Counter() for kind in KINDS}
    for case in cases:
        for kind, made in complements(case).items():
            counts[kind][made.reason if isinstance(made, Refusal) else "made"] += 1
    return counts


def _pair(kind: Kind, rule: str, wordings: Wordings, subject: Span) -> Pair:
    affirming, denying = wordings
    return Pair(
        Complement(kind, affirming, subject, "target is right", rule),
        Complement(kind, denying, subject, "target is wrong", rule),
    )


def _denial(case: Case) -> Denial | None:
    """The parts of the case's negated prompt, if that keeps everything up to the subject."""
    negated = negated_case(case)
    text = negated.negated_prompt if negated is not None else None
    if text is None or not text.startswith(case.prompt[: case.subject[1]]):
        return None
    return find_denial(text, case.subject)


def _adverb(case: Case, kind: Kind) -> Pair | Refusal:
    denial = _denial(case)
    if denial is None:
        return NO_PLACE
    if kind == "no_longer" and CONTINENTS & {case.target, case.old}:
        return LASTS
    start, end = case.subject
    outside = f"{denial.head[:start]} {denial.head[end:]} {denial.auxiliary} not {denial.tail}".rstrip()
    made = (never if kind == "never" else no_longer)(denial, outside)
    return made if isinstance(made, Refusal) else _pair(kind, denial.operator, made, case.subject)


def _false_that(case: Case, kind: Kind) -> Pair | Refusal:
    stated = _sentence(case)
    if stated is None:
        return FRAGMENT
    text, subject = stated
    leads = ("It is true that ", "It is false that ")
    said = lowered(text, subject)
    first, second = (lead + said for lead in leads)
    moved = [(subject[0] + len(lead), subject[1] + len(lead)) for lead in leads]
    return Pair(
        Complement(kind, first, moved[0], "target is right", "that-clause"),
        Complement(kind, second, moved[1], "target is wrong", "that-clause"),
    )


def _antonym(case: Case, kind: Kind) -> Pair | Refusal:
    answers = tuple(answer for answer in (case.target, case.old) if answer)
    made = by_antonym(case.prompt, case.subject, answers)
    return made if isinstance(made, Refusal) else _pair(kind, made[0], made[1], case.subject)


def _contrast(case: Case, kind: Kind) -> Pair | Refusal:
    """ "is not in OLD but in" and "is in TARGET, not in": what follows "but" and "not" opens like the answer."""
    denial = _denial(case)
    if not case.old:
        return Refusal("no old answer")
    if denial is None:
        return NO_PLACE
    if is_loose(denial) or _COMMA_THE.search(case.prompt):
        return FRAGMENT
    if is_negative(case.old) or is_negative(case.target):
        return Refusal("an answer that is negative")
    opening = _opening(case.prompt[case.subject[1] :])
    if not all(_article_fits(opening, answer) for answer in (case.old, case.target)):
        return Refusal("article does not fit the answer")
    wordings = (
        join(denial.text, case.old, "but", opening),
        join(f"{denial.affirmed(case.prompt)} {case.target},", "not", opening),
    )
    return _pair(kind, f"but/not {opening}".rstrip(), wordings, case.subject)


def _opening(tail: str) -> str:
    """The prepositions and articles that a prompt ends with: "is a part of the" -> "of the"."""
    found = tail.split()
    start = len(found)
    while start and found[start - 1].lower() in PREPOSITIONS | ARTICLES:
        start -= 1
    return " ".join(found[start:])


def _article_fits(opening: str, answer: str) -> bool:
    """Whether a prompt's last word, if it is "a" or "an", may stand before the answer."""
    last = opening.split(" ")[-1].lower()
    return last not in {"a", "an"} or (last == "an") == (answer[:1].lower() in set("aeiou"))


def _contradictory(case: Case, kind: Kind) -> Pair | Refusal:
    stated = _sentence(case)
    if stated is None:
        return FRAGMENT
    text, subject = stated
    negated = negate(text, subject)
    denial = None if negated is None else find_denial(negated.prompt, subject)
    if denial is None:
        return NO_PLACE
    made = by_inference(denial, subject, case.target, case.old)
    if isinstance(made, Refusal):
        return made
    rule, (yes, first), (no, second) = made
    return Pair(Complement(kind, yes, first, "yes", rule), Complement(kind, no, second, "no", rule))


def _sentence(case: Case) -> tuple[str, Span] | None:
    """The statement up to its answer, and its subject's place; None where the answer is not last."""
    text = (case.statement or "").removesuffix(SLOT).rstrip()
    if not text or case.statement != f"{text} {SLOT}" or SLOT in text:
        return None
    if text.startswith(case.prompt[: case.subject[1]]):
        return text, case.subject
    try:
        return text, find_subject(text, case.subject_text)
    except RecordFault:
        return None
