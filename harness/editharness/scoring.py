"""How an answer's text is scored. Pure functions over strings, shared by the tasks and by the null answers.

Token-exact match under greedy decoding is decided by the model (every target token is the argmax); what stands here
judges texts: does the answer begin with, contain, or equal what is expected?
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

_EDGE = " \t\n\r.,;:!?\"'“”‘’()"


def normal(text: str) -> str:
    """Text for comparison: NFC, white space folded, no quotes or stops at the edges. Case is kept."""
    return " ".join(unicodedata.normalize("NFC", text).split()).strip(_EDGE)


def contains(text: str, answers: Iterable[str]) -> bool:
    """Does `text` hold one of `answers` as whole words, case-insensitively?"""
    folded = normal(text).casefold()
    wanted = (normal(a).casefold() for a in answers)
    return any(a and re.search(rf"(?<!\w){re.escape(a)}(?!\w)", folded) for a in wanted)


def begins(text: str, answers: Iterable[str]) -> bool:
    """Does `text` begin with one of `answers` as whole words? Case counts, as it does for tokens."""
    start = normal(text)
    wanted = (normal(a) for a in answers)
    return any(a and re.match(rf"{re.escape(a)}(?!\w)", start) is not None for a in wanted)


def equals(text: str, answers: Iterable[str]) -> bool:
    """Is `text` one of `answers` and nothing else? (exact match with the model's own stop)"""
    return normal(text) in {normal(a) for a in answers}


def same_start(text: str, other: str, expected: str) -> bool:
    """Do two texts agree on their first words, as many as `expected` has? (locality: the same answer as before)"""
    words = max(1, len(normal(expected).split()))
    return normal(text).split()[:words] == normal(other).split()[:words]


def share_right(expected: Sequence[int], said: Sequence[int]) -> float:
    """Share of the expected tokens that stand at their own place in what was said (token match ratio)."""
    return sum(a == b for a, b in zip(expected, said, strict=False)) / len(expected)


def score_texts(doc: Mapping[str, object], text: str) -> dict[str, float]:
    """Scores of a generated text for a document: does it contain the target, is it the target?"""
    answers = [str(doc["target"]), *_strings(doc.get("aliases"))]
    return {"contained": float(contains(text, answers)), "equal": float(equals(text, answers))}


def score_constant(doc: Mapping[str, object], text: str) -> dict[str, float]:
    """Scores of a null answer, which says `text` without a model: `score_texts`, and exact match of its beginning."""
    scores = {**score_texts(doc, text), "exact": float(begins(text, [str(doc["target"])]))}
    old = str(doc.get("old") or "")
    return {**scores, "old_exact": float(begins(text, [old]))} if old else scores


def _strings(value: object) -> Sequence[str]:
    return [str(v) for v in value] if isinstance(value, list | tuple) else []
