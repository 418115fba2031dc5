"""Guesses about what a question asks: the kind of its answer, and which questions ask the same of another subject.

A kind is "year", "date", "number" by the answer's own form, else what the question names ("person", "place", "city",
"award"), else how the answer is written ("name", "words").
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from editharness.data.lemma import BE, DO, HAVE, MODALS
from editharness.data.question_form import WH
from editharness.data.words import ARTICLES, PREPOSITIONS, PRONOUNS, words
from editharness.types import Span

_FORMS: Final = (
    ("year", re.compile(r"(?:1[0-9]|20)\d\d")),
    ("date", re.compile(r".*\b(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\b.*\d.*", re.IGNORECASE)),
    ("number", re.compile(r"[$£€]?[\d.,]+\s*(?:%|\w+)?")),
)
_ASKED: Final = {"who": "person", "whom": "person", "whose": "person", "where": "place"}
_NOUN: Final = re.compile(
    r"\b(?:what|which)\s+(?:(?:is|was|are|were)\s+(?:the\s+)?(?P<of>[\w\s-]+?)\s+of\b|(?P<noun>[\w-]+))"
)
_EMPTY: Final = (
    WH | BE | DO | HAVE | MODALS | ARTICLES | PREPOSITIONS | PRONOUNS | {"and", "or", "not", "this", "that", "name"}
)
_AT_MOST: Final = 200
"""Questions per word that are looked at: enough to choose from, and large files stay quick."""


def answer_kind(question: str, answer: str) -> str:
    """The guessed kind of an answer; see above."""
    for kind, form in _FORMS:
        if form.fullmatch(answer):
            return kind
    low = question.lower()
    first = words(low)[0].low
    found = None if first in _ASKED else _NOUN.search(low)
    noun = (found["of"] or found["noun"]).split()[-1] if found else ""
    if noun and noun not in _EMPTY:
        return noun
    asked = next((word.low for word in words(low) if word.low in _ASKED), "")
    return _ASKED[asked] if asked and not found else answer_form(answer)


def answer_form(answer: str) -> str:
    """How an answer is written: year, date, number, name (capitalised) or words."""
    for kind, form in _FORMS:
        if form.fullmatch(answer):
            return kind
    return "name" if answer[:1].isupper() else "words"


def relation_words(question: str, subject: Span) -> frozenset[str]:
    """The words that say what is asked: without the subject, question words, auxiliaries, articles and prepositions."""
    rest = question[: subject[0]] + " " + question[subject[1] :]
    bare = (word.low.strip("?.!'\"“”‘’()") for word in words(rest))
    return frozenset(word for word in bare if word and word not in _EMPTY and word != "'s")


@dataclass(frozen=True)
class Asked:
    """A question of the file, as far as choosing among questions needs it."""

    question: str
    subject: Span
    answer: str

    @property
    def name(self) -> str:
        """The subject in small letters."""
        return self.question[self.subject[0] : self.subject[1]].casefold()


class Neighbours:
    """Finds questions of the same relation about other subjects; equal input and seed give equal choices."""

    def __init__(self, asked: Sequence[Asked], seed: int) -> None:
        self._asked, self._seed = asked, seed
        self._words = [relation_words(one.question, one.subject) for one in asked]
        self._by_word: dict[str, list[int]] = {}
        order = list(range(len(asked)))
        random.Random(seed).shuffle(order)
        for number in order:
            for word in self._words[number]:
                self._by_word.setdefault(word, []).append(number)

    def choose(self, number: int, target: str, count: int) -> list[tuple[int, str]]:
        """At most `count` other questions with the rule that chose each: those that share the most words, then any.

        A question that names the subject, or whose answer is the target, would show nothing about side effects.
        """
        shared = Counter(
            other for word in sorted(self._words[number]) for other in self._by_word[word][:_AT_MOST] if other != number
        )
        rng = random.Random(f"{self._seed} {number}")
        drawn = rng.sample(range(len(self._asked)), min(len(self._asked), _AT_MOST))
        ranked = [(other, "shared words") for other, _ in shared.most_common()]
        ranked += [(other, "random") for other in drawn if other not in shared]
        fits = [(other, rule) for other, rule in ranked if self._fits(number, other, target)]
        return fits[:count]

    def _fits(self, number: int, other: int, target: str) -> bool:
        mine, theirs = self._asked[number], self._asked[other]
        apart = mine.name not in theirs.question.casefold() and mine.name != theirs.name
        return other != number and apart and theirs.answer.casefold() != target.casefold()
