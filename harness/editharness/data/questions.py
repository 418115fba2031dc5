"""A question as a prompt to complete: "What university did X attend?" -> "The university X attended is".

The completed prompt is a plain sentence, so that it can be negated after its subject and judged true or false.
A question whose build is not recognised becomes 'The answer to the question "..." is', which is always right.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from editharness.data.lemma import BE, DO, LEMMAS, finite, inflect
from editharness.data.question_form import MASK, QuestionForm, parse
from editharness.data.words import PREPOSITIONS, PRONOUNS
from editharness.types import Span

_OF_WORDS: Final = "country city state town continent planet family species occupation position"
_PERSON_WORDS: Final = """
actor architect artist author composer designer director editor illustrator inventor lady man performer person
photographer player producer singer star woman writer
"""
_PLACE_VERBS: Final = """
located born found based situated live die buried headquartered study work reside exist raised occur happen
"""
_OF: Final = frozenset(_OF_WORDS.split())
_PERSONS: Final = frozenset(_PERSON_WORDS.split())
_WHERE_VERBS: Final = frozenset(_PLACE_VERBS.split())
_STRANDED: Final = {"belong": " to", "participate": " in", "fight": " in"}
_DATES: Final = re.compile(r"^(?:the\s+)?(?:\w+\s+)?(?:date|day|year|time)\b", re.IGNORECASE)
_BE_BE: Final = re.compile(r"\b(?:is|was|are|were) (?:is|was|are|were)$")


@dataclass(frozen=True)
class Completion:
    """A prompt that ends right before the answer, the subject's span in it, and the rule that made it."""

    prompt: str
    subject: Span
    rule: str


def completion(question: str, subject: Span) -> Completion:
    """The question as a prompt to complete; `rule` is "fallback" where the question itself is quoted in it."""
    form = parse(question, subject)
    text = None if form is None else _complete(form)
    if form is None or text is None or text.count(MASK) != 1 or _BE_BE.search(text):
        return fallback(question, subject)
    at = text.index(MASK)
    return Completion(form.unmask(text), (at, at + len(form.subject)), form.kind)


def fallback(question: str, subject: Span) -> Completion:
    """'The answer to the question "Q" is', for any question."""
    before = 'The answer to the question "'
    return Completion(f'{before}{question}" is', (subject[0] + len(before), subject[1] + len(before)), "fallback")


def _complete(form: QuestionForm) -> str | None:
    word = form.low(form.wh) if form.wh < len(form.words) else ""
    if word in {"how", "whose"} or re.search(r"['’]s?\b", form.noun) or (form.kind != "echo" and MASK in form.noun):
        return None
    if form.kind == "echo":
        return _echo(form)
    if form.fronted:
        return _fronted(form)
    if word in {"when", "where"} and not form.noun:
        return _when(form) if word == "when" else _where(form)
    rules = {"inverted": _inverted, "copula": _copula, "predicate": _said, "subject": _said, "uninverted": _uninverted}
    return rules[form.kind](form)


def _echo(form: QuestionForm) -> str:
    """The father of X is whom? -> The father of X is; X was in what series? -> X was in the series."""
    stated = re.sub(r"\s+an?$", "", form.slice(0, form.wh)) if form.slice(form.wh + 1) else form.slice(0, form.wh)
    return stated + (f" {_the(form.slice(form.wh + 1))}" if form.slice(form.wh + 1) else "")


def _the(noun: str) -> str:
    """ "state" -> "the state of", "team" -> "the team": a prompt after which a name can follow."""
    return f"the {noun}" + (" of" if noun.split()[-1].lower() in _OF else "")


def _opening(phrase: str) -> str:
    """A noun phrase at the start of a sentence; a bare noun ("year of inception of X") is given its article."""
    first = phrase.split()[0]
    if MASK in first:
        return phrase
    return phrase[:1].upper() + phrase[1:] if first.lower() in {"the", "a", "an"} else f"The {phrase}"


def _phrase(form: QuestionForm) -> str:
    """The noun phrase that holds the subject."""
    return form.slice((form.verb if form.verb is not None else form.mask - 1) + 1, form.phrase)


def _stated(form: QuestionForm) -> str | None:
    """Noun phrase, verb and predicate in the order of a statement: did X attend -> X attended."""
    if form.verb is None:
        shown = form.slice(form.mask)
        stated = any(word.low in BE or finite(word.low) for word in form.words[form.mask :])
        return shown if stated else None
    auxiliary, said, phrase = form.low(form.verb), form.predicate, _phrase(form)
    if phrase.split()[0].lower() in PRONOUNS or (form.kind == "copula" and BE & set(phrase.lower().split())):
        return None
    if auxiliary not in DO:
        return f"{phrase} {form.slice(form.verb, form.verb + 1)} {said}".rstrip()
    parts = said.split()
    at = next((i for i, part in enumerate(parts[:2]) if part.lower() in LEMMAS), None)
    if at is None:
        return None
    parts[at] = inflect(parts[at].lower(), auxiliary)
    if parts[at + 1 : at + 2] in (["or"], ["and"]) and parts[at + 2 : at + 3] and parts[at + 2] in LEMMAS:
        parts[at + 2] = inflect(parts[at + 2], auxiliary)
    return f"{phrase} {' '.join(parts)}"


def _ends_in_preposition(text: str) -> bool:
    return bool(text) and text.split()[-1].lower() in PREPOSITIONS


def _fronted(form: QuestionForm) -> str | None:
    """In which state is X located? -> X is located in the state of; a stranded preposition wins over the first one."""
    if form.kind in {"predicate", "subject"}:
        return None
    stated = _stated(form)
    if stated is None:
        return None
    if not form.noun:
        return _opening(stated) + ("" if _ends_in_preposition(form.predicate) else f" {form.fronted}")
    linked = stated if _ends_in_preposition(form.predicate) else f"{stated} {form.fronted}"
    return f"{_opening(linked)} {_the(form.noun)}"


def _when(form: QuestionForm) -> str | None:
    """When did X die? -> The date when X died is; When was the birth of X? -> The date of the birth of X is."""
    if form.verb is None or form.kind in {"predicate", "subject"}:
        return None
    if form.kind == "copula":
        phrase = _phrase(form)
        named = _DATES.match(phrase)
        return f"{_opening(phrase) if named else f'The date of {phrase}'} {form.low(form.verb)}"
    stated = _stated(form)
    return None if stated is None else f"The date when {stated} is"


def _where(form: QuestionForm) -> str | None:
    """Where was X born? -> X was born in; Where is X? -> X is located in; Where did X study? -> The place where ..."""
    if form.verb is None or form.kind in {"predicate", "subject"}:
        return None
    stated = _stated(form)
    if stated is None:
        return None
    if form.low(form.verb) in DO:
        return f"The place where {stated} is"
    if form.kind == "copula":
        return f"{_opening(stated)} located in"
    return _opening(stated) if _ends_in_preposition(form.predicate) else f"{_opening(stated)} in"


def _inverted(form: QuestionForm) -> str | None:
    """What university did X attend? -> The university X attended is; Who was X directed by? -> X was directed by."""
    stated = _stated(form)
    if stated is None:
        return None
    if not form.noun:
        return _opening(stated)
    last, first = form.predicate.split()[-1].lower(), form.predicate.split()[0].lower()
    if _DATES.match(form.noun):
        return f"The {form.noun} {stated} is"
    if last in _WHERE_VERBS or (first in _WHERE_VERBS and " when " in form.predicate):
        return f"The {form.noun} where {stated} is"
    return f"The {form.noun} {stated}{_STRANDED.get(last, '')} is"


def _copula(form: QuestionForm) -> str | None:
    """Who is the mother of X? -> The mother of X is; What vessel type is X? -> The vessel type of X is."""
    be, phrase = form.low(form.verb or 0), _phrase(form)
    if not form.noun:
        return f"{_opening(phrase)} {be}"
    if form.verb is not None and form.verb + 1 == form.mask and "'s" not in phrase and not form.slice(form.phrase):
        return f"The {form.noun} of {phrase} {be}"
    return _said(form)


def _said(form: QuestionForm) -> str | None:
    """Who fathered X? -> The person who fathered X is; What company produced X? -> The company that produced X is."""
    word, said = form.low(form.wh), form.slice(form.verb or 0)
    if word in {"where", "when"} or (word == "which" and not form.noun):
        return None
    if form.noun and form.low((form.verb or 0) + 1) == "it":
        return f"The {form.noun} {form.slice((form.verb or 0) + 2)} {form.low(form.verb or 0)}"
    if form.noun:
        return f"The {form.noun} {'who' if form.noun.split()[-1].lower() in _PERSONS else 'that'} {said} is"
    return f"The {'person who' if word in {'who', 'whom'} else 'thing that'} {said} is"


def _uninverted(form: QuestionForm) -> str | None:
    """Which lady X was born to? -> The lady X was born to is."""
    stated = _stated(form)
    return f"The {form.noun} {stated} is" if stated is not None and form.noun else None
