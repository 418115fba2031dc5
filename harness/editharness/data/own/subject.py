"""The subject of a question by rules: which words the question is about, cut out exactly as they stand.

In this order: text in quotation marks; the longest run of capitalised words; what follows the verb; what follows
the last preposition. The rules know no names, so they err: docs/data.md says how often on QAEdit, and
`--review` shows each one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from editharness.data.lemma import BE, DO, HAVE, LEMMAS, MODALS, finite
from editharness.data.question_form import WH
from editharness.data.words import ARTICLES, PREPOSITIONS, PRONOUNS, Word, words
from editharness.types import Span

_QUOTED: Final = re.compile(r"""(?<!\w)(?:"[^"]{2,}"|“[^”]{2,}”|‘[^’]{2,}’|'[^']{2,}')(?!\w)""")
_LINK_WORDS: Final = """
of the and de da di du la le van von der den & to for a
"""
_LINKS: Final = frozenset(_LINK_WORDS.split())
"""Words that may stand inside a name: "Journal of Clinical Microbiology"."""
_GRAMMAR: Final = BE | DO | HAVE | MODALS
_EDGE: Final = " \t.,:;!?"


@dataclass(frozen=True)
class Subject:
    """Where the subject stands in the question, and the rule that found it."""

    span: Span
    rule: str


def find_by_rules(question: str) -> Subject | None:
    """The subject, None where no rule finds one that is shorter than the question."""
    for rule, find in (("quoted", _quoted), ("capitals", _capitals), ("verb", _verb), ("preposition", _preposition)):
        span = find(question)
        if span is not None and _fits(question, span):
            return Subject(span, rule)
    return None


def _fits(question: str, span: Span) -> bool:
    inside = question[span[0] : span[1]]
    return any(letter.isalnum() for letter in inside) and len(inside) < len(question.rstrip(_EDGE))


def _quoted(question: str) -> Span | None:
    """The longest text in quotation marks, with them."""
    found = [match.span() for match in _QUOTED.finditer(question)]
    return max(found, key=_length, default=None)


def _length(span: Span) -> int:
    return span[1] - span[0]


def _capitals(question: str) -> Span | None:
    """The run of the most capitalised words; links may stand inside it, a question word does not start it."""
    runs = [_trimmed(question, run) for run in _runs(words(question))]
    return max(runs, key=lambda span: len(question[span[0] : span[1]].split()), default=None)


def _runs(found: Sequence[Word]) -> Iterable[list[Word]]:
    run: list[Word] = []
    for number, word in enumerate(found):
        opening = number == 0 and (word.low in WH | PREPOSITIONS | _GRAMMAR | ARTICLES)
        if (_is_name(word.text) and not opening) or (run and (word.text in _LINKS or word.text[0].isdigit())):
            run.append(word)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _is_name(text: str) -> bool:
    bare = text.lstrip("\"'“‘(")
    return bool(bare) and bare[0].isupper()


def _trimmed(question: str, run: Sequence[Word]) -> Span:
    """Without links at the end, "'s" and marks around it."""
    last = max(i for i, word in enumerate(run) if word.text not in _LINKS)
    text = question[run[0].start : run[last].end]
    bare = re.sub(r"['’]s$", "", text.rstrip(_EDGE))
    return run[0].start, run[0].start + len(bare)


def _preposition(question: str) -> Span | None:
    """From the last preposition with words after it to the end."""
    found = words(question.rstrip(_EDGE))
    at = [i for i, word in enumerate(found[:-1]) if word.low in PREPOSITIONS and i > 0]
    return _phrase(found, at[-1] + 1, len(found)) if at else None


def _verb(question: str) -> Span | None:
    """What follows the first verb, up to a bare verb behind it ("where does | the name baca | come from")."""
    found = words(question.rstrip(_EDGE))
    at = next((i for i, word in enumerate(found) if i and (word.low in _GRAMMAR or finite(word.low))), None)
    if at is None:
        return None
    at += found[min(at + 1, len(found) - 1)].low in _GRAMMAR  # "What name is given to"
    bare = [i for i in range(at + 2, len(found)) if found[at].low in DO and found[i].low in LEMMAS]
    return _phrase(found, at + 1, bare[-1] if bare else len(found))


def _phrase(found: Sequence[Word], start: int, end: int) -> Span | None:
    """Words start..end without an article or pronoun before them."""
    while start < end and found[start].low in ARTICLES | PRONOUNS:
        start += 1
    return (found[start].start, found[end - 1].end) if start < end else None
