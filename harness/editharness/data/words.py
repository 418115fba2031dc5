"""Word classes of English, as far as prompts need them, and words with their places in a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

RELATIVES: Final = frozenset({"who", "which", "that", "whose", "whom", "where", "when"})
PRONOUNS: Final = frozenset({"they", "we", "you", "it", "he", "she", "people"})
_PREPOSITIONS: Final = """
about above after against along among around as at before behind beside between by during for from in inside into near
of off on onto out over through to toward towards under upon with within without
"""
PREPOSITIONS: Final = frozenset(_PREPOSITIONS.split())
ARTICLES: Final = frozenset({"a", "an", "the"})
_ADVERBS: Final = frozenset({"also", "first", "last", "mostly", "now", "often", "once", "still"})
_TRANSITIVE: Final = """
add award base build call create design develop distribute educate employ establish find found hold house inspire invent
film locate maintain make manufacture name nominate own produce program publish release represent say select set shoot
surround
"""
PASSIVE: Final = frozenset(_TRANSITIVE.split())
"""Verbs whose past form before a preposition is a participle: "located in", "named after"."""
FRONTING: Final = PREPOSITIONS | {"where", "when", "while", "because", "if", "although", "since", "until", "that"}
_WORD: Final = re.compile(r"[^\s,:;]+|[,:;]")


@dataclass(frozen=True)
class Word:
    """A word with its place in the text."""

    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        """The word in lower case."""
        return self.text.lower()


def words(text: str, start: int = 0) -> list[Word]:
    """The words of a text from `start`, commas and colons as words of their own."""
    return [Word(found.group(), *found.span()) for found in _WORD.finditer(text, start)]


def is_adverb(word: str) -> bool:
    """Whether the word can stand between a subject and its verb without being one itself."""
    return (word.endswith("ly") and word not in {"apply", "supply", "fly", "rely", "family"}) or word in _ADVERBS
