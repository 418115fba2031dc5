"""Which cases are looked into: those that the model answers as expected, or differently once negated."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import torch

from editharness.data.negated import negated_case
from editharness.errors import DataError, EditError, UsageError
from editharness.mechanism.roles import roles_of
from editharness.mechanism.tracing import TracePrompt
from editharness.models.spans import encode_text, encode_texts, target_ids, trimmed
from editharness.scoring import normal
from editharness.types import Case, Span

if TYPE_CHECKING:
    from editharness.host import LocalHost

T = TypeVar("T")
NEW_TOKENS = 10
_END = re.compile(r"[.!?;\n]")


@dataclass(frozen=True)
class Chosen(Generic[T]):
    """The cases taken, how many were looked at, and why the others were left out."""

    taken: tuple[T, ...]
    looked_at: int
    left_out: Mapping[str, int] = field(default_factory=dict)


class LeftOut(Exception):
    """Why one case is not taken."""


def choose(cases: Iterable[Case], wanted: int, take: Callable[[Case], T], *, exact: bool, what: str) -> Chosen[T]:
    """The first `wanted` cases that `take` accepts (it raises LeftOut for the others).

    `exact`: fewer are a UsageError. Raises DataError where there is none; `what` says in words what was looked for.
    """
    taken: list[T] = []
    left_out: Counter[str] = Counter()
    for case in cases:
        if len(taken) == wanted:
            break
        try:
            taken.append(take(case))
        except LeftOut as why:
            left_out[str(why)] += 1
    reasons = ", ".join(f"{count} {why}" for why, count in left_out.most_common())
    if not taken:
        raise DataError(f"no case {what} ({reasons or 'the data set has none'})")
    if exact and len(taken) < wanted:
        raise UsageError(f"--cases {wanted}: only {len(taken)} cases {what} ({reasons}); ask for at most that many")
    return Chosen(tuple(taken), len(taken) + left_out.total(), left_out)


def known(
    host: LocalHost,
    case: Case,
    answer: str,
    *,
    negated: bool,
    at: Callable[[str], AbstractContextManager[object]] = lambda case: nullcontext(),
) -> TracePrompt:
    """The prompt to trace of a case whose model (at its place) says `answer` first; LeftOut for any other case.

    Plain, the followed token is the answer's first; negated, what the model itself says first after the negated prompt.
    """
    if not answer:
        raise LeftOut("without an old answer")
    asked = replace(case, negated_prompt=None) if not negated else _negated(case)
    try:
        plain = _encoded(host, case, case.prompt, case.subject)
        first = target_ids(host.tokenizer, case.prompt, answer)[0]
        prompt = _encoded(host, case, asked.negated_prompt, subject_in(asked)) if asked.negated_prompt else plain
    except EditError as error:
        raise LeftOut("not to be placed in tokens") from error
    with at(case.id):
        said = first_tokens(host, [plain.ids])[0]
        if said != first:
            raise LeftOut("answered otherwise by the model")
        return replace(prompt, answer=first_tokens(host, [prompt.ids])[0] if negated else first)


def differs_when_negated(host: LocalHost, case: Case) -> Case:
    """The case with its negated prompt, if the model's two answers share no word; LeftOut for any other case.

    An answer is what greedy decoding says up to the end of the sentence, `NEW_TOKENS` tokens at most.
    """
    asked = _negated(case)
    prompt, subject = str(asked.negated_prompt), subject_in(asked)
    if prompt[: subject[1]] != case.prompt[: case.subject[1]]:
        raise LeftOut("whose negation changes what stands before the subject's end")
    plain, negated = (answer_words(text) for text in greedy(host, [case.prompt, prompt], NEW_TOKENS))
    if plain & negated or not plain or not negated:
        raise LeftOut("answered alike when negated")
    return asked


def subject_in(case: Case) -> Span:
    """Where the subject stands in the negated prompt."""
    prompt, text = case.negated_prompt or "", case.subject_text
    start = case.subject[0] if prompt.startswith(text, case.subject[0]) else prompt.index(text)
    return start, start + len(text)


def answer_words(text: str) -> frozenset[str]:
    """The words of a generated answer, up to the end of its first sentence or line."""
    return frozenset(normal(word).casefold() for word in _END.split(text.strip(), maxsplit=1)[0].split()) - {""}


def greedy(host: LocalHost, texts: Sequence[str], tokens: int) -> list[str]:
    """What the model says after each text: the likeliest token, `tokens` times, up to its end of text."""
    rows = [list(ids) for ids, _ in encode_texts(host.tokenizer, texts)]
    starts, end = [len(row) for row in rows], host.tokenizer.eos_token_id
    for _ in range(tokens):
        for row, token in zip(rows, first_tokens(host, rows), strict=True):
            row.append(token)
    found = [row[start:] for row, start in zip(rows, starts, strict=True)]
    found = [said[: said.index(end)] if end in said else said for said in found]
    return [str(host.tokenizer.decode(said, skip_special_tokens=True)) for said in found]


def first_tokens(host: LocalHost, rows: Sequence[Sequence[int]]) -> list[int]:
    """The likeliest next token of each row of ids."""
    width = max(map(len, rows))
    ends = torch.tensor([len(row) - 1 for row in rows], device=host.device)
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=host.device)
    mask = torch.arange(width, device=host.device)[None, :] <= ends[:, None]
    with torch.no_grad():
        logits = host.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return [int(token) for token in logits[torch.arange(len(rows), device=host.device), ends].argmax(dim=-1)]


def _negated(case: Case) -> Case:
    made = negated_case(case)
    if made is None:
        raise LeftOut("that cannot be negated")
    return made


def _encoded(host: LocalHost, case: Case, prompt: str, subject: Span) -> TracePrompt:
    ids, offsets = encode_text(host.tokenizer, prompt)
    longest = getattr(host.loaded.model.config, "max_position_embeddings", None)
    if longest is not None and len(ids) + NEW_TOKENS > longest:
        raise EditError(f"case {case.id}: {len(ids)} tokens, and the model takes {longest}")
    return TracePrompt(case.id, case.subject_text, ids, roles_of(offsets, trimmed(prompt, subject)), -1)
