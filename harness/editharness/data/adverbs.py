"""Denials with another adverb than "not": "has never been" beside "has indeed been", "is no longer" beside "is now".

    never      be, present  has never been     was  was never     plays  has never played   played  never played
    no_longer  be, present  is no longer                          plays  no longer plays    past: refused

Both wordings of a pair differ in the adverb alone and keep everything up to and including the subject.
`never` is refused for what happens once (birth, death) and for dates: "has never been 1932" is no English for "is not".
`no_longer` is made only of what can change (an employer, a capital): a mother tongue is not "no longer" English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from editharness.data.denial import Denial, join, split_verb
from editharness.data.lemma import participle, past, third_person

_ONCE: Final = re.compile(
    r"\b(?:born|birth|birthplace|die[ds]?|death|pass(?:ed)? away|expired?|succumb(?:ed)?|los[et] their life|life|"
    r"burial|date|year|day|when|time|originally|to debut)\b",
    re.IGNORECASE,
)
_CHANGES: Final = re.compile(
    r"\b(?:located|based(?! (?:up)?on)|headquarter(?:s|ed)?|employ(?:ed|er)|works?|plays?|positions?|"
    r"citizen(?:ship)?|capital|official|occupation|profession|professional|owner|owned|affiliated|member|religion|twin|clubs?|teams?|league|"
    r"spouse|married|coach|chief|chairperson|head|currency|seat|expertise|domain|area of work|fields? of work|"
    r"specialize|belongs?|represented|representing|label|record company|associated|main language)\b"
    r"|\b(?:is|are|,) not in$",
    re.IGNORECASE,
)
_LASTS: Final = re.compile(
    r"\b(?:continent|constellation|fictional|map|chromosome|galaxy|species|family|taxon|mother tongue|native|was|were|"
    r"answer)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Refusal:
    """Why a complement cannot be made; refusals are counted by this reason."""

    reason: str


NO_PLACE: Final = Refusal("no one place to deny at")
ONCE: Final = Refusal("happens once, or is a date")
LASTS: Final = Refusal("cannot change, or not known to")
PAST: Final = Refusal("past tense")
FRAGMENT: Final = Refusal("no sentence")
Wordings = tuple[str, str]
"""The affirming and the denying prompt."""


def is_loose(denial: Denial) -> bool:
    """Whether the denied words are a bare noun phrase or a mark ("{}, not the", "{} label : not")."""
    return denial.operator == "bare" and (denial.tail in {"the", "a", "an", ""} or denial.head.endswith(":"))


def never(denial: Denial, outside: str) -> Wordings | Refusal:
    """ "has indeed been" and "has never been"; `outside` is the negated prompt without its subject."""
    if _ONCE.search(outside):
        return ONCE
    if is_loose(denial):
        return FRAGMENT
    affirming, denying = _with_perfect(denial, "indeed"), _with_perfect(denial, "never")
    return NO_PLACE if affirming is None or denying is None else (affirming, denying)


def no_longer(denial: Denial, outside: str) -> Wordings | Refusal:
    """ "is now" and "is no longer"; refused for the past and for what does not change."""
    if denial.past:
        return PAST
    if is_loose(denial):
        return FRAGMENT
    if _LASTS.search(outside) or not _CHANGES.search(outside):
        return LASTS
    affirming, denying = _with_adverb(denial, "now"), _with_adverb(denial, "no longer")
    return NO_PLACE if affirming is None or denying is None else (affirming, denying)


def _with_perfect(denial: Denial, adverb: str) -> str | None:
    have = "have" if denial.plural else "has"
    if denial.operator == "be" and not denial.past:
        return join(denial.head, have, adverb, "been", denial.tail)
    if denial.operator != "do":
        return join(denial.head, denial.auxiliary, adverb, denial.tail)
    verb = split_verb(denial.tail)
    if verb is None:
        return None
    said, base, rest = verb
    shown = (adverb, said, past(base)) if denial.past else (have, adverb, said, participle(base))
    return join(denial.head, *shown, rest)


def _with_adverb(denial: Denial, adverb: str) -> str | None:
    if denial.operator != "do":
        return join(denial.head, denial.auxiliary, adverb, denial.tail)
    verb = split_verb(denial.tail)
    if verb is None:
        return None
    said, base, rest = verb
    return join(denial.head, adverb, said, base if denial.plural else third_person(base), rest)
