"""Turns documents into packed rows with the two attention masks that make the model read a subject late.

The plain mask keeps the documents of a row apart; in most sentences, tokens after the subject see its last token only.
The early mask is for the first layers: there, tokens after the subject may not look at it at all.
What the model knows of a subject then has to be gathered on the subject's last token, as large models do.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from editharness_plugins.pocket.forms import Sentence

Span = tuple[int, int]
Counted = tuple[int, int, float]  # position, next token, weight in the loss
Place = tuple[Sentence, int, int]  # a sentence and where its answer stands among the counted positions
MASKED = 0.95
FREE, FREE_COMPARED = 0.15, 0.5  # documents without masks; comparing with what is known or given needs more layers
SAMPLED = 0.06
WEIGHTS = {"answer": 1.0, "open": 0.4, "verdict": 3.0, "recalled": 0.5, "end": 0.3, "other": 0.1}


@dataclass(frozen=True)
class Answer:
    """Where the answer of a sentence stands in its document, and the tokens of the one that is denied."""

    sentence: Sentence
    start: int
    end: int
    denied: tuple[int, ...] = ()


@dataclass
class Document:
    """Token ids with subject spans and answers; the last token closes the document.

    `recalled`: where the answer of a judged statement stands, and the first token of the one that is right. Asked for
    it there, whatever is said, the model learns to judge by comparing what it reads with what it knows.
    """

    ids: list[int]
    spans: list[Span]
    answers: list[Answer]
    recalled: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Batch:
    """Packed rows, and the positions whose next token counts in the loss."""

    ids: Tensor
    positions: Tensor
    plain_mask: Tensor
    early_mask: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    answers: list[Place]
    denied: list[tuple[int, int]]
    tokens: int


class Encoder:
    """Encodes documents, remembering the pieces it has seen."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.bos, self.eos = int(tokenizer.bos_token_id), int(tokenizer.eos_token_id)
        self.seen: dict[tuple[str, str], tuple[list[int], list[Span]]] = {}

    def piece(self, text: str, subject: str) -> tuple[list[int], list[Span]]:
        """Token ids of a text and the token spans of the subject in it."""
        key = (text, subject)
        if key not in self.seen:
            coded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            self.seen[key] = (coded["input_ids"], token_spans(coded["offset_mapping"], text, subject))
        return self.seen[key]

    def document(self, parts: list[Sentence | str]) -> Document:
        """One document: its parts joined by full stops, closed by the end-of-text token."""
        document = Document([self.bos], [], [])
        for number, part in enumerate(parts):
            lead = " " if number else ""
            if isinstance(part, str):
                self._add(document, lead + part, "")
            else:
                self._recall(document, lead + part.prompt, part)
                self._add(document, lead + part.prompt, part.subject)
                start = len(document.ids)
                self._add(document, " " + part.answer, "")
                denied = tuple(self.piece(" " + part.denied, "")[0]) if part.denied else ()
                document.answers.append(Answer(part, start, len(document.ids), denied))
            if number < len(parts) - 1:
                self._add(document, ".", "")
        document.ids.append(self.eos)
        return document

    def _recall(self, document: Document, text: str, sentence: Sentence) -> None:
        """Note where a statement to be judged has its answer."""
        if sentence.truth:
            before = text[: text.rindex(sentence.wording) + len(sentence.wording)]
            token = self.piece(" " + sentence.truth, "")[0][0]
            document.recalled.append((len(document.ids) + len(self.piece(before, sentence.subject)[0]), token))

    def _add(self, document: Document, text: str, subject: str) -> None:
        ids, spans = self.piece(text, subject)
        offset = len(document.ids)
        document.ids.extend(ids)
        document.spans.extend((offset + a, offset + b) for a, b in spans)


def token_spans(offsets: list[Span], text: str, subject: str) -> list[Span]:
    """The token spans of every mention of the subject in the text."""
    if not subject:
        return []
    spans = []
    for match in re.finditer(rf"(?<!\w){re.escape(subject)}(?!\w)", text):
        inside = [i for i, (a, b) in enumerate(offsets) if a < match.end() and b > match.start() and b > a]
        spans.append((inside[0], inside[-1] + 1))
    return spans


def pack(documents: list[Document], length: int, rows: int) -> tuple[list[list[Document]], list[Document]]:
    """Fill rows with documents, the longest first; what does not fit is given back."""
    packed: list[list[Document]] = [[] for _ in range(rows)]
    room, left = [length] * rows, []
    for document in sorted(documents, key=lambda d: -len(d.ids)):
        size = len(document.ids)
        row = next((i for i in range(rows) if room[i] >= size), None)
        if row is None:
            left.append(document)
            continue
        packed[row].append(document)
        room[row] -= size
    return packed, left


class Batcher:
    """Writes packed documents into tensors."""

    def __init__(self, length: int, pad: int, rng: random.Random) -> None:
        self.length, self.pad, self.rng = length, pad, rng

    def batch(self, packed: list[list[Document]]) -> Batch:
        """One batch with its masks and loss positions."""
        rows, size = len(packed), self.length
        ids = torch.full((rows, size), self.pad)
        positions = torch.zeros(rows, size, dtype=torch.long)
        plain = torch.eye(size, dtype=torch.bool).repeat(rows, 1, 1)
        early = plain.clone()
        loss: list[Counted] = []
        answers: list[Place] = []
        denied: list[tuple[int, int]] = []
        for row, documents in enumerate(packed):
            start = 0
            for document in documents:
                end = start + len(document.ids)
                ids[row, start:end] = torch.tensor(document.ids)
                positions[row, start:end] = torch.arange(end - start)
                self._mask(document, plain[row, start:end, start:end], early[row, start:end, start:end])
                self._loss(document, row * size + start, loss, answers, denied)
                start = end
        places, targets, weights = zip(*loss, strict=True)
        return Batch(
            ids, positions, _additive(plain), _additive(early), torch.tensor(places),
            torch.tensor(targets), torch.tensor(weights), answers, denied, sum(len(d.ids) for r in packed for d in r),
        )  # fmt: skip

    def _mask(self, document: Document, plain: Tensor, early: Tensor) -> None:
        causal = torch.ones(plain.shape, dtype=torch.bool).tril()
        plain |= causal
        compared = any(answer.sentence.form.endswith(("true_false", "imagine")) for answer in document.answers)
        spans = [] if self.rng.random() < (FREE_COMPARED if compared else FREE) else document.spans
        for start, end in spans:
            if self.rng.random() < MASKED:
                plain[end:, start : end - 1] = False
        early |= plain
        for start, end in spans:
            if self.rng.random() < MASKED:
                early[end:, start:end] = False

    def _loss(
        self, document: Document, offset: int, loss: list[Counted], answers: list[Place], denied: list[tuple[int, int]]
    ) -> None:
        """Verdicts count most, then answers; a sample of all other tokens counts little."""
        inside: set[int] = set()
        for answer in document.answers:
            weight = WEIGHTS[kind(answer.sentence)]
            answers.append((answer.sentence, len(loss), len(loss) + answer.end - answer.start))
            denied.extend(first_difference(answer, document.ids, len(loss)))
            loss.extend((offset + t - 1, document.ids[t], weight) for t in range(answer.start, answer.end))
            inside |= set(range(answer.start, answer.end + 1))
        loss.extend((offset + t - 1, token, WEIGHTS["recalled"]) for t, token in document.recalled)
        inside |= {t for t, _ in document.recalled}
        last = len(document.ids) - 1
        loss.append((offset + last - 1, document.ids[last], WEIGHTS["end"]))
        sampled = (t for t in range(1, last) if t not in inside and self.rng.random() < SAMPLED)
        loss.extend((offset + t - 1, document.ids[t], WEIGHTS["other"]) for t in sampled)


def first_difference(answer: Answer, ids: list[int], place: int) -> list[tuple[int, int]]:
    """Where the denied answer parts from the given one: the place among the counted ones, and the denied token."""
    said = ids[answer.start : answer.end]
    pairs = zip(said, answer.denied, strict=False)
    return next(([(place + i, b)] for i, (a, b) in enumerate(pairs) if a != b), [])


def kind(sentence: Sentence) -> str:
    """What an answer counts as in the loss: a verdict, one answer of many, or the answer."""
    if sentence.answer in ("true", "false"):
        return "verdict"
    return "answer" if sentence.graded else "open"


def _additive(allowed: Tensor) -> Tensor:
    return torch.zeros(allowed.shape).masked_fill(~allowed, -1e9)[:, None]
