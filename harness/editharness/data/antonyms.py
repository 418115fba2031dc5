"""Denials by an antonym, with no negation word: "is located outside", "lacks", "is anything but".

Each row of the table is a complement where its pattern fits: of "within" and "outside", of "has" and "lacks" exactly
one is true. Contraries are left out ("non-native speaker of" a language still speaks it; who "worked outside" a city
may have worked in it too). The text up to and including the subject is never touched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from editharness.data.adverbs import Refusal, Wordings
from editharness.types import Span

_PLACED: Final = "located|situated|found|based|headquartered|born|created|formed|founded|formulated|developed|started"
_HAPPENED: Final = "died|passed away|originated|formed|started"
_CONTAINED: Final = (
    rf"(?P<keep>(?:.*\b(?:is|are|was|were|be) |, )(?:(?:{_PLACED}) )?|.*\b(?:{_HAPPENED}) )(?:in|at|within)"
    r"(?P<rest>(?: the (?:city|country)(?: of)?| the continent(?: of)?)?)"
)
_SOME: Final = re.compile(r"(?:^|, )an? (?=.*\b(?:is|are|was|were)$)|^an? ", re.IGNORECASE)
"""An indefinite subject ("an official language is"): that it is another one does not deny the edit."""


@dataclass(frozen=True)
class Antonym:
    """A pattern for all that follows the subject, and the words that stand between `keep` and `rest` in each wording.

    `place`: fits only answers that are places, so answers with digits are refused.
    """

    rule: str
    pattern: re.Pattern[str]
    affirming: str
    denying: str
    place: bool = False


def _row(rule: str, pattern: str, affirming: str, denying: str, *, place: bool = False) -> Antonym:
    return Antonym(rule, re.compile(pattern), affirming, denying, place)


TABLE: Final = (
    _row("within/outside", _CONTAINED, "within", "outside", place=True),
    _row(
        "lies within/lies outside",
        r"(?P<keep>.*)\b(?:belongs to|is a part of)(?P<rest> the continent of)",
        "lies within",
        "lies outside",
    ),
    _row("has/lacks", r"(?P<keep>.*\b)(?:has|holds)(?P<rest> a citizenship from)", "has", "lacks"),
    _row("has/lacks", r"(?P<keep>.*\b)has(?P<rest> (?:the position of|the capital(?: city)?))", "has", "lacks"),
    _row("member/non-member", r"(?P<keep>.*\bis a )member(?P<rest> of)", "member", "non-member"),
    _row("citizen/non-citizen", r"(?P<keep>(?:.*\bis|,) a )citizen(?P<rest> of)", "citizen", "non-citizen"),
    _row(
        "affiliated/unaffiliated",
        r"(?P<keep>.*\b)affiliated(?P<rest> with(?: the)?(?: religion)?(?: of)?)",
        "affiliated",
        "unaffiliated",
    ),
    _row(
        "connected/unconnected",
        r"(?P<keep>.*\bis )associated(?P<rest> with(?: the sport of)?)",
        "connected",
        "unconnected",
    ),
    _row("native/foreign", r"(?P<keep>.*\b(?:is|was) )native(?P<rest> to)", "native", "foreign"),
    _row(
        "none other than/anything but",
        r"(?P<keep>.*\b(?:is|are|was|were) ?)(?P<rest>(?:the)?)",
        "none other than",
        "anything but",
    ),
)


def by_antonym(prompt: str, subject: Span, answers: tuple[str, ...]) -> tuple[str, Wordings] | Refusal:
    """The first row that fits the text after the subject, as (rule, wordings)."""
    kept, tail = prompt[: subject[1]], prompt[subject[1] :]
    if _SOME.match(prompt[: subject[0]]) or _SOME.search(tail):
        return Refusal("another answer may be true too")
    for row in TABLE:
        match = row.pattern.fullmatch(tail)
        if match is None:
            continue
        if row.place and any(letter.isdigit() for answer in answers for letter in answer):
            return Refusal("an answer that is no place")
        affirming, denying = (_put(match, word) for word in (row.affirming, row.denying))
        return row.rule, (kept + affirming, kept + denying)
    return Refusal("no antonym for the wording")


def _put(match: re.Match[str], word: str) -> str:
    before, after = match["keep"], match["rest"]
    gap = "" if before.endswith(" ") or not before else " "
    return f"{before}{gap}{word}{' ' if after and not after.startswith(' ') else ''}{after}"
