"""The rules that put "not" into what follows a prompt's subject. Each returns None rather than guess.

    final_be              the prompt ends in is/was/are/were          The capital of {} is not
    question_then_statement  a question, then the start of its answer   What does {} play? They do not play
    be_insert, modal, have_insert  the first finite verb is an auxiliary   {} was not born in; {} cannot be found in
    do_support            it is a lexical verb                        {} does not play; {}'s life did not end in
    apposition            no finite verb, after a comma               {}, not developed by
    verbless_*            no finite verb at all                       {} not from; {}'s owner is not

`tail` is the text after the subject, `prefix` the text before it. Order matters: final_be comes before be_insert
("The university where {} was educated is").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from editharness.data.lemma import BE, DO, HAVE, MODALS, finite, is_participle, support
from editharness.data.words import (
    ARTICLES,
    FRONTING,
    PASSIVE,
    PREPOSITIONS,
    PRONOUNS,
    RELATIVES,
    Word,
    is_adverb,
    words,
)

_NEGATIVE: Final = re.compile(r"\b(?:not|never|nor|neither|cannot|nobody|nothing)\b|n['’]t\b", re.IGNORECASE)
_PLURAL: Final = re.compile(r"\b(?:\w+[^\Ws]s|people|children|women|men)\s+(?:of|in|from|at)\s+(?:the\s+)?$", re.I)
_OPENING: Final = re.compile(r"""["'”’»)\]*]*(?:\s*\([^()]*\))?""")
_POSSESSIVE: Final = re.compile(r"['’]s?(?=\s)")


@dataclass(frozen=True)
class Made:
    """A text after a rule, and the rule's name."""

    text: str
    rule: str


def insert(text: str, at: int, what: str) -> str:
    """`text` with `what` put in at `at`."""
    return text[:at] + what + text[at:]


def is_negative(text: str) -> bool:
    """Whether the text holds a negation already."""
    return _NEGATIVE.search(text) is not None


def negate_tail(prefix: str, tail: str) -> Made | None:
    """Negate what follows the subject; `prefix` tells whether the subject stands in a relative clause or a cleft."""
    quoted = _quoted_be(prefix, tail)
    if quoted is not None:
        return quoted
    before = re.split(r"[.!?]\s+", prefix)[-1]
    if is_negative(before) or is_negative(tail) or re.search(r"[.!]\s", tail):
        return None
    asked, mark, answer = tail.rpartition("?")
    if mark:
        return _answer_tail(asked + mark, answer)
    rules: tuple[Callable[[str, str], Made | None], ...] = (_final_be, _fronted, _finite_verb, _apposition, _verbless)
    for rule in rules:
        made = rule(before, tail)
        if made is not None:
            return made if made.text else None
    return None


def _quoted_be(prefix: str, tail: str) -> Made | None:
    """'The answer to the question "...{}..." is': nothing inside the quotation is negated, whatever it says."""
    closed = re.search(r"[\"”]\s+(?:is|was|are|were)$", tail, re.IGNORECASE)
    opened = re.search(r"(?:^|\s)[\"“]", prefix)
    return Made(tail + " not", "final_be") if closed and opened else None


_REFUSED: Final = Made("", "refused")


def _answer_tail(asked: str, answer: str) -> Made | None:
    """A question, then the start of its answer: only the answer is negated."""
    made = _final_be("", answer)
    if made is None:
        found = words(answer)
        if not found or found[0].low not in PRONOUNS:
            return None
        made = _verb_at(answer, found, 1, plural=True)
    return None if made is None else Made(asked + made.text, f"question_then_statement+{made.rule}")


def _final_be(before: str, tail: str) -> Made | None:
    found = words(tail)
    bare = found[-1].low.strip("\"'”’") if found else ""
    return Made(tail + " not", "final_be") if bare in BE else None


def _fronted(before: str, tail: str) -> Made | None:
    """ "In {}, they understand": what follows the comma has a subject of its own; anything unclear is refused."""
    opening = words(before)
    if not opening or opening[0].low not in FRONTING or "," in before:
        return None  # "On the map, {} is in": the comma stands before the subject
    comma = tail.find(",")
    found = words(tail, comma + 1)
    if comma < 0 or len(found) < 2:
        return _REFUSED
    if found[0].low in PRONOUNS:
        return _verb_at(tail, found, 1, plural=found[0].low in {"they", "we", "you", "people"}) or _REFUSED
    auxiliary = next((i for i, word in enumerate(found) if word.low in BE | MODALS), None)
    if auxiliary is None or any(word.low in RELATIVES for word in found[:auxiliary]):
        return _REFUSED
    return _verb_at(tail, found, auxiliary, plural=False) or _REFUSED


def _finite_verb(before: str, tail: str) -> Made | None:
    """Negate the first finite verb, unless the subject stands in a cleft or in a relative clause before it."""
    found = words(tail, _subject_rest(tail))
    start = _verb_place(tail, found)
    made = None if start is None else _verb_at(tail, found, start, plural=bool(_PLURAL.search(before)))
    if made is not None and (_is_cleft(before) or _in_relative(before) or _has_second_verb(found, start or 0)):
        return _REFUSED
    return made


def _has_second_verb(found: list[Word], start: int) -> bool:
    """Whether a later be, outside a relative clause, is the main verb: "The language {} was written in is called"."""
    low = [word.low for word in found[start + 1 :]]
    later = next((i for i, word in enumerate(low) if word in BE), None)
    return later is not None and not RELATIVES & set(low[:later])


def _is_cleft(before: str) -> bool:
    return re.match(r"\s*it\s+(?:is|was)\b", before, re.IGNORECASE) is not None


def _in_relative(before: str) -> bool:
    """Whether a relative pronoun before the subject still waits for its verb: "The group with which {} is ..."."""
    low = [word.low for word in words(before)]
    last = max((i for i, word in enumerate(low) if word in RELATIVES), default=None)
    return last is not None and not any(word in BE | MODALS | DO | HAVE or finite(word) for word in low[last + 1 :])


def _subject_rest(tail: str) -> int:
    """Where the words after the subject begin: behind closing quotes, "(1999)" and the possessive."""
    opening = _OPENING.match(tail)
    at = opening.end() if opening else 0
    possessive = _POSSESSIVE.match(tail, at) or _POSSESSIVE.match(tail)
    return max(at, possessive.end() if possessive else 0)


def _is_possessive(tail: str) -> bool:
    return _POSSESSIVE.match(tail) is not None


def _verb_place(tail: str, found: list[Word]) -> int | None:
    """Index of the word where the finite verb (or its adverb) may begin; None where the words do not show it."""
    low = [word.low for word in found]
    at = 1 if low[:1] == [","] else 0
    if at and low[at : at + 1] and low[at] not in RELATIVES | PRONOUNS:
        return None
    if at < len(low) and low[at] in RELATIVES | PRONOUNS:
        return _after_noun(low, at + 1) if low[at] == "whose" else at + 1
    return _after_noun(low, at) if _is_possessive(tail) else at


def _after_noun(low: list[str], at: int) -> int | None:
    """The first finite verb after at least one noun: "whose headquarters are in", "'s life ended in"."""
    for i in range(at + 1, len(low)):
        if low[i] in BE | MODALS | HAVE:
            return i
        if finite(low[i]):  # "'s religious values strongly emphasize": values is a noun if a verb follows it
            rest = [word for word in low[i + 1 :] if not is_adverb(word)]
            return None if rest and finite(rest[0]) else i
    return None


def _verb_at(text: str, found: list[Word], at: int, *, plural: bool) -> Made | None:
    """Negate the verb at index `at`, which adverbs may precede ("professionally plays": the auxiliary goes first)."""
    place = next((i for i in range(at, len(found)) if not is_adverb(found[i].low)), None)
    if place is None:
        return None
    word, after = found[place], found[place + 1].low if place + 1 < len(found) else ""
    if word.low in BE:
        return Made(insert(text, word.end, " not"), "be_insert")
    if word.low in MODALS:
        return Made(insert(text, word.end, "not" if word.low == "can" else " not"), "modal")
    if word.low in HAVE and (after == "been" or is_participle(after)):
        return Made(insert(text, word.end, " not"), "have_insert")
    return _do_support(text, found[at], word, after, plural)


def _do_support(text: str, first: Word, verb: Word, after: str, plural: bool) -> Made | None:
    form = finite(verb.text)
    if form is None or (form.tense == "base" and not plural) or (form.tense == "past" and after == "by"):
        return None  # a bare plural after a singular subject is a noun; "{} released by" has a participle
    if form.tense == "past" and after in PREPOSITIONS and form.lemma in PASSIVE:
        return None  # "{} located in": who locates would not do it "in"
    rest = text[verb.end :]
    joined = re.match(r"\s+(?:or|and)\s+(\w+)", rest)
    second = finite(joined[1]) if joined else None
    if joined and second and second.tense == form.tense:  # "directed or edited" -> "did not direct or edit"
        rest = rest[: joined.start(1)] + second.lemma + rest[joined.end(1) :]
    changed = text[: verb.start] + form.lemma + rest
    return Made(insert(changed, first.start, f"{support(form)} not "), "do_support")


def _apposition(before: str, tail: str) -> Made | None:
    """ "{}, developed by" -> "{}, not developed by": after the comma an article, a preposition or a participle."""
    found = words(tail, _subject_rest(tail))
    if found and found[-1].text in {",", ":"} and not any(finite(word.text) for word in found):
        return Made(tail + " not", "apposition")
    if len(found) < 2 or found[0].text != "," or any(word.low in BE | MODALS | RELATIVES for word in found):
        return None
    head = found[1]
    fits = head.low in ARTICLES | PREPOSITIONS or is_participle(head.low) or head.low.endswith("ing")
    return Made(insert(tail, head.start, "not "), "apposition") if fits else None


def _verbless(before: str, tail: str) -> Made | None:
    """ "{} from" -> "{} not from"; "{}'s owner" -> "{}'s owner is not". Other bare nouns are refused."""
    found = words(tail, _subject_rest(tail))
    low = [word.low for word in found]
    if before.strip() or not found or any(word in {",", ":", ";"} for word in low):
        return None
    if low[0] in PREPOSITIONS and len(low) == 1:
        return Made(insert(tail, found[0].start, "not "), "verbless_preposition")
    if not _is_possessive(tail) or len(low) > 3 or PREPOSITIONS & set(low) or (ARTICLES | RELATIVES) & set(low):
        return None
    if not low[-1].endswith(("s", "ed", "ing")) and finite(low[-1]) is None:
        return Made(tail + " is not", "verbless_noun")
    return None
