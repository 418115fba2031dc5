"""Yes/no questions whose answer the edit implies: "Was X born in the 20th century?" after "X was born in 1932".

Of a pair, the affirming question is about the class of the target (answer: yes), the denying one about the class of
the old answer, which the target is not in (answer: no). Classes are continents of countries and cities, families of
languages, centuries of years, and "greater than" for numbers (`answer_classes`). Refused: answers whose class is not
known or the same, and wordings that leave room for a second true answer ("speaks", "an official language").
"""

from __future__ import annotations

import re
from typing import Final

from editharness.data.adverbs import Refusal
from editharness.data.answer_classes import AnswerClass, classes
from editharness.data.denial import Denial, join
from editharness.data.words import FRONTING, words
from editharness.types import Span

_SEVERAL: Final = re.compile(
    r"\b(?:speaks?|spoke|spoken|writes?|wrote|used|official|an?|declares?|understand|work(?:s|ed)?|employ(?:ed|er|ment)|"
    r"plays?|perform\w*|twin(?:ned)?|member|associated|affiliated|names|cast|children|child|siblings?|award)\b",
    re.IGNORECASE,
)
_CLASSIFIER: Final = re.compile(r"\s*\bthe (?:country|city|continent|language|state)(?: of)?$")
_LANGUAGE: Final = re.compile(r"\b(?:language|tongue|speaker|written)\b", re.IGNORECASE)
_PLACE: Final = re.compile(
    r"\b(?:in|at|from|within|capital|country|city|nation|place|birthplace|location|headquarters|origin)\b",
    re.IGNORECASE,
)
_DATED: Final = re.compile(r"\b(?:date|day|year|when)\b", re.IGNORECASE)
_LOWERED: Final = FRONTING | {"the", "a", "an", "people", "as", "whoever", "everyone"}
Question = tuple[str, Span]


def lowered(text: str, subject: Span) -> str:
    """The text as it reads inside a sentence: a first word that is no name loses its capital; the subject keeps its."""
    first = text.split(" ", 1)[0].lower()
    return text[:1].lower() + text[1:] if subject[0] > 0 and first in _LOWERED else text


def by_inference(denial: Denial, subject: Span, target: str, old: str) -> tuple[str, Question, Question] | Refusal:
    """(rule, question with answer yes, question with answer no) for a negated sentence and both answers."""
    if not old:
        return Refusal("no old answer")
    known = classes(target, old)
    if known is None:
        return Refusal("classes of the answers not known, or the same")
    outside = denial.head[: subject[0]] + denial.head[subject[1] :] + " " + denial.tail
    fits = _fits(known[0], subject, outside, denial)
    if isinstance(fits, Refusal):
        return fits
    yes, no = (_asked(denial, subject, one) for one in known)
    return known[0].kind, yes, no


def _fits(known: AnswerClass, subject: Span, outside: str, denial: Denial) -> Refusal | None:
    """Whether a yes/no question can be asked of this sentence about an answer of this kind."""
    before = words(denial.head[: subject[0]])
    if denial.operator not in {"be", "do"} or "," in denial.head or '"' in denial.head:
        return Refusal("no sentence whose verb can be fronted")
    if before and before[0].low in FRONTING:
        return Refusal("no sentence whose verb can be fronted")
    if _SEVERAL.search(outside):
        return Refusal("another answer may be true too")
    if known.kind == "language" and not _LANGUAGE.search(outside):
        return Refusal("the wording does not ask for a language")
    if known.kind in {"country", "city"} and not _PLACE.search(outside):
        return Refusal("the wording does not ask for a place")
    if known.kind == "year" and not (denial.tail.endswith("in") if denial.tail else _DATED.search(denial.head)):
        return Refusal("the wording does not ask for a year")
    if known.kind == "number" and denial.tail:
        return Refusal("the wording does not ask for a number")
    return None


def _asked(denial: Denial, subject: Span, known: AnswerClass) -> Question:
    """Auxiliary first, then the sentence, then the class in the answer's place; the subject moves with its head."""
    start = lowered(denial.head, subject)
    stated = re.sub(r"\bat$", "in", _CLASSIFIER.sub("", denial.tail))
    text = join(denial.auxiliary.capitalize(), start, stated, _phrase(known, denial))
    moved = len(denial.auxiliary) + 1
    return text + "?", (subject[0] + moved, subject[1] + moved)


def _phrase(known: AnswerClass, denial: Denial) -> str:
    """The class as it stands where the answer stood."""
    named = "the name of " if denial.head.lower().startswith("the name of") and not denial.tail else ""
    if known.kind == "year":
        unit = "year" if re.search(r"\byear\b", denial.head) else "date"
        return f"the {known.name}" if denial.tail else f"a {unit} in the {known.name}"
    if known.kind == "number":
        return known.name
    if known.kind == "language":
        article = "an" if known.name.startswith("Indo") else "a"
        return f"{named}{article} {known.name} language"
    return f"{named}a {known.kind} in {known.name}"
