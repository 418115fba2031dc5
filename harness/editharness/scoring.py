"""How an answer's text is scored. Pure functions over strings, shared by the tasks and by the null answers.

Token-exact match under greedy decoding is decided by the model (every target token is the argmax); what stands here
judges texts: does the answer begin with, contain, or equal what is expected?
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

DENIALS = ("not", "no", "never", "neither", "nor", "none", "cannot", "without")
"""Words that deny, with those that end in "n't": an answer that holds one asserts nothing (`asserts`)."""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
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


def squad_normal(text: str) -> str:
    """Text as SQuAD compares it: lower case, no ASCII punctuation, no articles, white space folded (NFC).

    As `normalize_answer` in the code of arXiv 2502.11177. A text of nothing but these (")") is kept as it is: else it
    would equal an answer that says nothing.
    """
    folded = unicodedata.normalize("NFC", text).lower()
    bare = " ".join(_ARTICLES.sub(" ", folded.translate(_PUNCTUATION)).split())
    return bare or " ".join(folded.split())


def squad_equals(text: str, answers: Iterable[str]) -> bool:
    """Is `text` one of `answers` once both are normalised as in SQuAD? An empty answer is equal to nothing."""
    said = squad_normal(text)
    return bool(said) and said in {squad_normal(a) for a in answers}


def token_f1(text: str, answers: Iterable[str]) -> float:
    """Best F1 between the words of `text` and of each of `answers`, normalised as in SQuAD (Rajpurkar 2016, 6.1)."""
    said = squad_normal(text).split()
    return max((_f1(said, squad_normal(a).split()) for a in answers), default=0.0)


def _f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def asserts(text: str, answers: Iterable[str], rivals: Iterable[str] = ()) -> bool:
    """Does `text` contain one of `answers` without contradicting it?

    It holds an answer as whole words, in any case; outside of its mentions there is neither a rival (the old answer, as
    whole words) nor a word that denies. "Rome, not Nairobi" is no assertion of Rome by this rule: it errs on that side.
    """
    folded = normal(text).casefold()
    wanted = sorted({normal(a).casefold() for a in answers} - {""}, key=len, reverse=True)
    if not wanted:
        return False
    mention = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, wanted))})(?!\w)")
    rest, found = mention.subn(" ", folded)
    return found > 0 and not contains(rest, rivals) and not _denies(rest)


def _denies(folded: str) -> bool:
    words = re.findall(r"[\w'’]+", folded)
    return any(word in DENIALS or word.replace("’", "'").endswith("n't") for word in words)


def before_stop(text: str, stops: Iterable[str]) -> str:
    """The text up to the first of `stops`, as lm-eval cuts a generated answer."""
    for stop in stops:
        text = text.split(stop)[0]
    return text


def words_right(expected: str, said: str) -> float:
    """Token match ratio of an answer that no model gave: over words, since without a model there are no tokens."""
    return share_right(list(expected.split()), list(said.split())) if expected.split() else 0.0


def share_right(expected: Sequence[object], said: Sequence[object]) -> float:
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
