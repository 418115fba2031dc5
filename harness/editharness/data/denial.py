"""Where a negated prompt denies: the word "not" after the subject, the auxiliary before it, what stands around it.

Other denials ("never", "no longer") and yes/no questions are made from these parts, so that the rules for finding the
verb exist once (`clauses`). A prompt with no "not", or with two, after its subject has no parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from editharness.data.lemma import BE, DO, HAVE, LEMMAS, MODALS
from editharness.data.words import is_adverb
from editharness.types import Span

Operator = Literal["be", "do", "have", "modal", "bare"]
"""be     is not        do     does not play       have   has not won
modal  can not       bare   ", not developed by", where no auxiliary carries the "not"."""

_NOT: Final = re.compile(r"\b(?:(?P<aux>\w+) )?(?:(?P<joined>can)not|not)\b", re.IGNORECASE)
_OPERATORS: Final[tuple[tuple[Operator, frozenset[str]], ...]] = (
    ("be", BE),
    ("do", DO),
    ("have", HAVE),
    ("modal", MODALS),
)


@dataclass(frozen=True)
class Denial:
    """A negated prompt in parts: head + auxiliary + "not" + tail. `head` keeps the subject where it stood.

    For "do" the tail begins with an optional adverb and the verb's base: "professionally play the sport".
    """

    head: str
    operator: Operator
    auxiliary: str
    tail: str

    @property
    def past(self) -> bool:
        """Whether the auxiliary is in the past tense."""
        return self.auxiliary in {"was", "were", "did", "had"}

    @property
    def text(self) -> str:
        """The negated prompt itself."""
        denied = "cannot" if self.auxiliary == "can" else join(self.auxiliary, "not")
        return join(self.head, denied, self.tail)

    def affirmed(self, prompt: str) -> str:
        """The same words without "not"; `prompt` itself where do-support changed the verb.

        Unlike the prompt it has the verb or article that the negation had to add: "{} owner" -> "{} owner is".
        """
        return prompt if self.operator == "do" else join(self.head, self.auxiliary, self.tail)

    @property
    def plural(self) -> bool:
        """Whether the auxiliary is a plural: are, do, have."""
        return self.auxiliary in {"are", "were", "do", "have"}


def find_denial(negated: str, subject: Span) -> Denial | None:
    """The parts of a negated prompt whose subject stands at `subject`; None unless one "not" follows the subject."""
    found = list(_NOT.finditer(negated, subject[1]))
    if len(found) != 1:
        return None
    match = found[0]
    word = (match["joined"] or match["aux"] or "").lower()
    operator: Operator = next((name for name, words in _OPERATORS if word in words), "bare")
    start = match.start()
    if operator == "bare":
        word, start = "", match.end() - len("not")
    elif match["joined"]:
        start = match.start("joined")
    return Denial(negated[:start].rstrip(), operator, word, negated[match.end() :].lstrip())


def split_verb(tail: str) -> tuple[str, str, str] | None:
    """What follows "does not" as (adverb, verb's base, rest); None where the verb is not known or is one of two."""
    parts = tail.split(" ")
    at = 1 if len(parts) > 1 and is_adverb(parts[0]) else 0
    verb, rest = parts[at], parts[at + 1 :]
    if verb not in LEMMAS or (rest[:1] and rest[0] in {"and", "or"}):
        return None
    return parts[0] if at else "", verb, " ".join(rest)


def join(*parts: str) -> str:
    """The parts that are not empty, with single spaces between them."""
    return " ".join(part for part in parts if part)
