"""The build of an English question about a subject: where its question word, verb and noun phrases stand.

`parse` reads a question with its subject masked by one character, so that no word of the subject is taken for grammar.
Two things are made from the result: a negated question (here) and a prompt to complete (`questions.completion`).
A question that is not understood gives None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from editharness.data.clauses import Made, insert, is_negative, negate_tail
from editharness.data.lemma import BE, DO, HAVE, LEMMAS, MODALS, finite, is_participle
from editharness.data.words import ARTICLES, PREPOSITIONS, PRONOUNS, RELATIVES, Word, is_adverb, words
from editharness.types import Span

MASK: Final = "\ue000"
WH: Final = frozenset({"what", "which", "who", "whom", "whose", "where", "when", "how"})
_DETERMINERS: Final = ARTICLES | {"his", "her", "their", "its", "this", "these", "those"}
_PREDICATIVE: Final = frozenset({"responsible", "home", "most", "apart", "part", "it", "where", "best", "also"})
_MAYBE_NOUNS: Final = (LEMMAS - {"found"}) | {"works", "records", "plays", "stars", "labels", "states"}

Kind = Literal["echo", "inverted", "copula", "predicate", "subject", "uninverted"]
"""echo        The father of X is whom?            copula      Who is | the mother of X?
inverted    What university did | X | attend?    predicate   Who was | responsible for X?
subject     Who | fathered X?                    uninverted  Which lady | X was born to?"""


@dataclass(frozen=True)
class QuestionForm:
    """A masked question without its question mark, as indices into its words.

    `wh` is the question word, `verb` the verb that follows its noun (None for echo and uninverted), `mask` the subject.
    `phrase` is the end of the noun phrase that holds the subject; the words from there on are the predicate.
    """

    text: str
    words: tuple[Word, ...]
    kind: Kind
    wh: int
    verb: int | None
    mask: int
    phrase: int
    subject: str

    def slice(self, start: int, end: int | None = None) -> str:
        """The text of words start..end with single spaces."""
        part = self.words[start:end]
        return " ".join(self.text[part[0].start : part[-1].end].split()) if part else ""

    def low(self, index: int) -> str:
        """A word in lower case."""
        return self.words[index].low

    @property
    def noun(self) -> str:
        """What stands between the question word and the verb: "university" in "What university did X attend?"."""
        end = self.verb if self.verb is not None else self.mask
        return self.slice(self.wh + 1, end).rstrip(" ,") if end > self.wh else ""

    @property
    def fronted(self) -> str:
        """The preposition before the question word, in lower case: "In which state ..."."""
        return self.slice(0, self.wh).lower() if self.kind != "echo" else ""

    @property
    def predicate(self) -> str:
        """The words after the noun phrase that holds the subject."""
        return self.slice(self.phrase)

    def unmask(self, text: str) -> str:
        """`text` with the subject back in its place."""
        return text.replace(MASK, self.subject)

    def negated(self) -> Made | None:
        """The question with its verb negated in place; None if it is negative already or no rule fits."""
        made = None if is_negative(self.text) else _negated(self)
        return None if made is None else Made(self.unmask(made.text) + "?", made.rule)


def parse(question: str, subject: Span) -> QuestionForm | None:
    """Find question word, verb and noun phrase; None where the question is of no known build."""
    if MASK in question:
        return None
    text = (question[: subject[0]] + MASK + question[subject[1] :]).rstrip().rstrip("?").rstrip()
    found = tuple(words(text))
    low = [word.low for word in found]
    mask = next((i for i, word in enumerate(low) if MASK in word), None)
    if mask is None:
        return None
    wh = _wh(low, mask)
    if wh is None:
        return None
    if wh > mask:
        return QuestionForm(text, found, "echo", wh, None, mask, wh, question[subject[0] : subject[1]])
    verb = _verb(low, wh, mask)
    kind, phrase = _kind(low, wh, verb, mask)
    if kind == "subject" and verb is not None:
        if low[wh] in {"where", "when"}:
            return None
        verb -= is_adverb(low[verb - 1])  # "What network first aired X?"
    return QuestionForm(text, found, kind, wh, verb, mask, phrase, question[subject[0] : subject[1]])


def _wh(low: list[str], mask: int) -> int | None:
    """Index of the question word: first, behind a preposition, or (echo) after the subject; its end if left out."""
    for at in range(min(3, mask)):
        if low[at] in WH and all(word in PREPOSITIONS | {"due"} for word in low[:at]):
            return at
    after = [i for i in range(mask + 1, len(low)) if low[i] in WH]
    if after and low[0] not in WH and not any(_is_verb(word) for word in low[after[-1] + 1 :]):
        return after[-1]
    return len(low) if low[-1] in BE and mask < len(low) - 1 and low[0] not in BE else None


def _is_verb(word: str) -> bool:
    form = finite(word)
    return word in BE | MODALS | DO | HAVE or (form is not None and form.tense != "base")


def _verb(low: list[str], wh: int, mask: int) -> int | None:
    """Index of do/does/did, else of the first verb that cannot be a noun, between question word and subject."""
    between = range(wh + 1, mask)
    supported = next((i for i in between if low[i] in DO), None)
    if supported is not None:
        return supported
    return next((i for i in between if low[i] in BE | MODALS | HAVE or _is_surely_finite(low[i])), None)


def _is_surely_finite(word: str) -> bool:
    form = finite(word)
    return form is not None and form.tense != "base" and word not in _MAYBE_NOUNS


def _kind(low: list[str], wh: int, verb: int | None, mask: int) -> tuple[Kind, int]:
    """The build, and where the noun phrase that holds the subject ends."""
    end = _after_subject(low, mask)
    if verb is None:
        return "uninverted", end
    between = low[verb + 1 : mask]
    if low[verb] in DO:
        return "inverted", _before_base(low, end)
    if low[verb] in MODALS or (low[verb] in HAVE and (not between or between[0] in _DETERMINERS) and _full(low, end)):
        return "inverted", end
    if low[verb] not in BE:
        return "subject", len(low)
    return _be_kind(low, verb, mask, end, has_noun=verb > wh + 1)


def _full(low: list[str], end: int) -> bool:
    """Whether a participle follows the subject: "has X won", but not "has the X gene"."""
    return end < len(low) and (low[end] == "been" or is_participle(low[end]))


def _after_subject(low: list[str], mask: int) -> int:
    """The first word after the subject, a parenthesis behind it ("X (DD-218)") included."""
    end = mask + 1
    while end < len(low) and low[end].startswith("(") and any(word.endswith(")") for word in low[end:]):
        while not low[end].endswith(")"):
            end += 1
        end += 1
    return end


def _before_base(low: list[str], end: int) -> int:
    """The noun phrase of "did X's death occur" ends before the first bare verb, itself behind at most one adverb."""
    verb = next((i for i in range(end, min(end + 4, len(low))) if low[i] in LEMMAS), None)
    if verb is None:
        return len(low)
    return verb - 1 if verb > end and is_adverb(low[verb - 1]) else verb


def _be_kind(low: list[str], verb: int, mask: int, end: int, *, has_noun: bool) -> tuple[Kind, int]:
    """be + noun phrase (copula), be + what is said of the question word (predicate), be + X + predicate (inverted)."""
    before, after = low[verb + 1 : mask], low[end:]
    if before and before[0] not in _DETERMINERS:
        said = before[0] in PREPOSITIONS | _PREDICATIVE or is_adverb(before[0]) or is_participle(before[0])
        if said or has_noun:
            return "predicate", len(low)
    clause = bool(after) and _is_verb(after[0]) and not is_participle(after[0])
    if not after or clause or any(mark in low[mask] for mark in ("'s", "’s")) or RELATIVES & set(before):
        return "copula", len(low)
    participle = is_participle(after[0]) or after[0].endswith("ed") or after[0] == "first"
    stranded = after[-1] in PREPOSITIONS and (not before or participle)
    if any(word in PREPOSITIONS for word in before):
        return ("inverted", end) if stranded else ("copula", len(low))
    asked = low[verb - 1] in {"where", "when"} and (participle or after[-1] in PREPOSITIONS)
    return ("inverted", end) if has_noun or asked or stranded or low[verb - 1] == "whom" else ("copula", len(low))


def _negated(form: QuestionForm) -> Made | None:
    text = form.text
    if form.kind in {"echo", "uninverted"}:
        return _negated_tail(form)
    if form.verb is None or MASK in form.noun:
        return None
    verb = form.words[form.verb]
    if form.kind == "inverted":
        if not form.predicate or form.low(form.verb + 1) in PRONOUNS:
            return None
        return Made(insert(text, form.words[form.phrase - 1].end, " not"), "after_subject")
    if form.kind != "subject":
        verb = form.words[form.verb + (form.low(form.verb + 1) == "it")]  # "was it not when"
        return Made(insert(text, verb.end, " not"), "after_be")
    made = negate_tail("", " " + text[verb.start :])
    return None if made is None else Made(text[: verb.start] + made.text.lstrip(), made.rule)


def _negated_tail(form: QuestionForm) -> Made | None:
    """Echo and uninverted questions have the order of statements: the rules for statements fit up to the wh-word."""
    start = form.words[form.mask].start + form.words[form.mask].text.index(MASK) + 1
    end = form.words[form.wh].start if form.mask < form.wh < len(form.words) else len(form.text)
    made = negate_tail("", form.text[start:end].rstrip())
    if made is None or made.rule in {"apposition", "verbless_noun", "verbless_preposition"}:
        return None
    rest = form.text[end:]
    return Made(form.text[:start] + made.text + (" " + rest if rest else ""), f"{form.kind}:{made.rule}")
