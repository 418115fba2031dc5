"""Does a free text assert an answer? Whole words, not negated, not hedged, and no other answer asserted beside it.

Rules over strings, the same everywhere; they know nothing of the world, so "another answer" is either one that the
caller names (`rivals`, such as the answer before an edit) or one that the text itself offers as an alternative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from editharness.errors import UsageError

_CLAUSE_END = re.compile(r"[.!?;:\n]+(?:\s|$)|,\s|\s[-–—]\s|(?<!anything )\b(?:but|while|whereas|although|though)\b")
_DENIAL = re.compile(
    r"\b(?:not(?!\s+only\b)|no|never|neither|nor|none|cannot|without|unlike|instead\s+of|rather\s+than|other\s+than|"
    r"anything\s+but|except(?:\s+for)?|formerly|previously|once|used\s+to\s+be|no\s+longer|"
    r"false|wrong|incorrect|untrue|den(?:y|ies|ied)|doubts?)\b|n['’]t\b"
)
_DENIED_AFTER = re.compile(
    r"\s*(?:is|was|would\s+be|are)?\s*(?:not\s+(?:it|so|true|correct|right|the\s+(?:right\s+|correct\s+)?answer)\b|"
    r"(?:false|wrong|incorrect|untrue)\b|isn['’]t\b|wasn['’]t\b)"
)
_FILLER = r"(?:(?:maybe|perhaps|possibly|probably|even|rather|else|in|at|the|a|an|it\s+is|it['’]s)\s+)*+"
_OR_AFTER = re.compile(rf"\s*(?:[,(]\s*)?(?:\bor\b|/)\s*{_FILLER}(?!so\b)(?=\w)")
_OR_BEFORE = re.compile(rf"[\w)'’]\s*,?\s*(?:\bor\b|/)\s*{_FILLER}$")
_RETRACTION = re.compile(
    r"\W*(?:(?:no|nope|wait|sorry)\s*[,.!;:–—-]|actually\W+\w|(?:correction|i\s+mean|scratch\s+that)\b)"
)
_GOLD = "\x00"


def objection(text: str, answers: Iterable[str], *, rivals: Iterable[str] = (), question: str = "") -> str:
    """Why `text` does not assert one of `answers`, in a few words; "" where it does.

    `rivals` are other answers, wrong here; one that is part of an answer or stands in `question` is not counted.
    A repeated question at the start of the text is not counted as an answer.
    """
    wanted = [_fold(a) for a in answers if _fold(a)]
    if not wanted:
        raise UsageError("there is no answer to look for: the gold answer is empty")
    asked = _fold(question)
    said = _without_question(_fold(text), asked)
    if not said:
        return "empty" if not _fold(text) else "repeats the question"
    marked = _mention(wanted).sub(_GOLD, said)
    places = [match.start() for match in re.finditer(_GOLD, marked)]
    if not places:
        return "the answer is not mentioned"
    standing = [place for place in places if not _denied(marked, place)]
    if not standing:
        return "the answer is negated"
    if len(standing) < len(places):
        return "the answer is asserted and negated"
    if any(_hedged(marked, place) for place in standing):
        return "an alternative is offered"
    if any(_RETRACTION.match(rest) for rest in _clauses_after(marked, standing[-1])):
        return "the answer is taken back"
    other = _asserted_rival(marked, rivals, asked)
    return f"another answer is asserted: {other}" if other else ""


def _fold(text: str) -> str:
    # the marker must not come in with the text
    return " ".join(text.replace(_GOLD, " ").split()).strip(" \t\"'“”‘’").rstrip(" .").casefold()


def _mention(answers: Iterable[str]) -> re.Pattern[str]:
    """Any of the answers as whole words, the longest first."""
    longest_first = sorted(answers, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _without_question(said: str, asked: str) -> str:
    """What is left of a text that begins with the question; a text to be continued may be repeated likewise."""
    return said[len(asked) :].lstrip(" .?!:,") if asked and said.startswith(asked) else said


def _clause(text: str, place: int) -> tuple[str, str]:
    """The parts of the clause round `place`: before it and after it."""
    start = max((m.end() for m in _CLAUSE_END.finditer(text, 0, place)), default=0)
    end = _CLAUSE_END.search(text, place + 1)
    return text[start:place], text[place + 1 : end.start() if end else len(text)]


def _denied(text: str, place: int) -> bool:
    before, after = _clause(text, place)
    return _DENIAL.search(before) is not None or _DENIED_AFTER.match(after) is not None


def _hedged(text: str, place: int) -> bool:
    return _OR_AFTER.match(text, place + 1) is not None or _OR_BEFORE.search(text[:place]) is not None


def _clauses_after(text: str, place: int) -> Iterator[str]:
    """Every clause that begins after `place`."""
    for match in _CLAUSE_END.finditer(text, place + 1):
        yield text[match.end() :]


def _asserted_rival(marked: str, rivals: Iterable[str], asked: str) -> str:
    for rival in rivals:
        folded = _fold(rival)
        if not folded or _mention([folded]).search(asked):
            continue
        found = _mention([folded]).finditer(marked)
        # the rival's own length is cut out, so that `_clause` sees one mark in its place
        if any(not _denied(marked[: m.start()] + _GOLD + marked[m.end() :], m.start()) for m in found):
            return rival
    return ""
