"""From characters to tokens: where the subject ends, which tokens the target is, and padded rows for both.

Everything goes by the fast tokenizer's offset mapping on the final text, so neither BOS, nor leading spaces, nor tokens
that reach over a boundary need arithmetic of their own. Rows are padded on the right whatever the tokenizer prefers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from editharness.errors import EditError, ModelError, UsageError

if TYPE_CHECKING:
    from editharness.types import Edit, Span

Encoded = tuple[tuple[int, ...], tuple[tuple[int, int], ...]]
"""Token ids and, per token, its character offsets [start, end) in the text; (0, 0) for BOS."""

IGNORED = -100
"""A label that asks for nothing (the value that torch's cross entropy ignores)."""


@dataclass(frozen=True)
class Prompts:
    """Right-padded rows, edit-major: every edit under every template.

    ids [rows, T] int64, mask [rows, T] bool, lengths [rows] (tokens of the prompt, target not counted),
    subject_last [rows] (position of the subject's last token), labels [rows, T] (at t the token that must come next;
    -100 elsewhere), edit [rows] (index of the edit), group [rows] (index of the template's group).
    """

    ids: Tensor
    mask: Tensor
    lengths: Tensor
    subject_last: Tensor
    labels: Tensor
    edit: Tensor
    group: Tensor

    def __len__(self) -> int:
        return int(self.ids.shape[0])

    def to(self, device: torch.device | str) -> Prompts:
        """The same rows on another device."""
        return Prompts(*(getattr(self, f.name).to(device) for f in fields(self)))

    def select(self, rows: Tensor) -> Prompts:
        """Some rows (int64 indices or a bool mask), cut to the longest of them."""
        chosen = Prompts(*(getattr(self, f.name)[rows.to(self.ids.device)] for f in fields(self)))
        longest = int(chosen.mask.sum(dim=1).max()) if len(chosen) else 0
        cut = {name: getattr(chosen, name)[:, :longest] for name in ("ids", "mask", "labels")}
        rest = {f.name: getattr(chosen, f.name) for f in fields(self) if f.name not in cut}
        return Prompts(**cut, **rest)


def encode_text(tokenizer: Any, text: str) -> Encoded:
    """Ids and offsets with the special tokens that the tokenizer puts in front (BOS); one put at the end is dropped.

    Raises ModelError for a tokenizer without offsets.
    """
    return encode_texts(tokenizer, [text])[0]


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> list[Encoded]:
    """`encode_text` of many texts in one call."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"{type(tokenizer).__name__} gives no offsets: use a tokenizer with a tokenizer.json")
    if not texts:
        return []
    made = tokenizer(list(texts), return_offsets_mapping=True, return_special_tokens_mask=True)
    return [
        _without_end(ids, offsets, special)
        for ids, offsets, special in zip(
            made["input_ids"], made["offset_mapping"], made["special_tokens_mask"], strict=True
        )
    ]


def _without_end(ids: Sequence[int], offsets: Sequence[Sequence[int]], special: Sequence[int]) -> Encoded:
    # an EOS that a tokenizer appends would stand between prompt and target; a lone BOS of an empty text stays
    end = len(ids)
    while end > 1 and special[end - 1] and not offsets[end - 1][1] and not all(special[:end]):
        end -= 1
    return tuple(ids[:end]), tuple((start, stop) for start, stop in offsets[:end])


def trimmed(text: str, span: Span) -> Span:
    """The span without spaces at its ends; raises EditError if nothing is left or it lies outside the text."""
    start, end = span
    if not 0 <= start < end <= len(text):
        raise EditError(f"subject span {start}..{end} is not inside the prompt {text!r}")
    part = text[start:end]
    if not part.strip():
        raise EditError(f"subject span {start}..{end} holds only spaces in the prompt {text!r}")
    return start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def subject_last(offsets: Sequence[tuple[int, int]], span: Span) -> int:
    """Position of the last token that covers the last character of the span (`trimmed`: the last that is no space).

    Where a character is split over several byte-level tokens it is the last of them; where a token reaches over the
    end of the subject it is that token. A last character that no token covers falls back to the last token inside.
    """
    start, end = span
    covering = [i for i, (left, right) in enumerate(offsets) if left < end <= right]
    inside = covering or [i for i, (left, right) in enumerate(offsets) if left < end and right > start]
    if not inside:
        raise EditError(f"no token covers the subject at characters {start}..{end}")
    return inside[-1]


def target_text(target: str) -> str:
    """The target as it follows a prompt: stripped, with exactly one space in front; raises EditError if empty."""
    if not target.strip():
        raise EditError("the target is empty")
    return " " + target.strip()


def target_ids(tokenizer: Any, prompt: str, target: str) -> tuple[int, ...]:
    """Tokens of " target" after `prompt`, BOS and prompt not included.

    They are what the whole text has beyond the prompt's own tokens. Where the target merges with the prompt's last
    token they are those of " target" alone, so that ids(prompt) + target_ids is always the text.
    """
    added = target_text(target)
    (alone, _), (whole, _) = encode_texts(tokenizer, [prompt, prompt + added])
    return _beyond(tokenizer, alone, whole, added)


def _beyond(tokenizer: Any, prompt: tuple[int, ...], whole: tuple[int, ...], added: str) -> tuple[int, ...]:
    if len(whole) > len(prompt) and whole[: len(prompt)] == prompt:
        return whole[len(prompt) :]
    return tuple(tokenizer.encode(added, add_special_tokens=False))


def fill(template: str, prompt: str) -> tuple[str, int]:
    """The template with the prompt in place of its last "{}", and where the prompt begins; braces elsewhere stay."""
    before, found, after = template.rpartition("{}")
    if not found:
        raise UsageError(f"template {template!r} has no place for the prompt: write {{}} where it goes")
    return before + prompt + after, len(before)


@dataclass(frozen=True)
class _Row:
    text: str
    subject: Span
    target: str
    edit: int
    group: int


def encode_edits(
    tokenizer: Any,
    edits: Sequence[Edit],
    templates: Sequence[str] = ("{}",),
    *,
    groups: Sequence[int] | None = None,
    targets: bool = True,
) -> Prompts:
    """Every edit under every template, edit-major (edit 0 under all templates, then edit 1, ...).

    With `targets` a row holds the prompt and all but the last target token, and labels; without, the prompt alone.
    A template holds "{}" where the whole prompt goes. `groups` gives each template's group (default: all in group 0).
    Raises EditError naming the edit whose subject or target cannot be placed.
    """
    if groups is not None and len(groups) != len(templates):
        raise UsageError(f"{len(groups)} groups for {len(templates)} templates: give one per template")
    rows = [
        _row(edit, index, template, groups[place] if groups is not None else 0, targets)
        for index, edit in enumerate(edits)
        for place, template in enumerate(templates)
    ]
    return _prompts(tokenizer, rows, [edit.id for edit in edits])


def essence_prompts(tokenizer: Any, edits: Sequence[Edit]) -> Prompts:
    """One row "<subject> is a" per edit, without target: what the subject is, which an edit should leave alone."""
    rows = []
    for index, edit in enumerate(edits):
        with _named(edit.id):
            start, end = trimmed(edit.prompt, edit.subject)
        subject = edit.prompt[start:end]
        rows.append(_Row(f"{subject} is a", (0, len(subject)), "", index, 0))
    return _prompts(tokenizer, rows, [edit.id for edit in edits])


@contextmanager
def _named(edit: str) -> Iterator[None]:
    """Errors inside name the edit."""
    try:
        yield
    except EditError as error:
        raise EditError(f"edit {edit}: {error}") from error


def _row(edit: Edit, index: int, template: str, group: int, targets: bool) -> _Row:
    text, shift = fill(template, edit.prompt)
    with _named(edit.id):
        start, end = trimmed(edit.prompt, edit.subject)
        added = target_text(edit.target) if targets else ""
        _refuse_half_characters(text + added)
    return _Row(text, (start + shift, end + shift), added, index, group)


def _refuse_half_characters(text: str) -> None:
    """JSON can hold half of a surrogate pair, which is no character and which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise EditError(f"{text!r} holds half a character at place {error.start}") from None


def _prompts(tokenizer: Any, rows: Sequence[_Row], names: Sequence[str]) -> Prompts:
    asked = encode_texts(tokenizer, [row.text for row in rows])
    whole = encode_texts(tokenizer, [row.text + row.target for row in rows if row.target])
    remaining = iter(whole)
    wanted = [
        _beyond(tokenizer, ids, next(remaining)[0], row.target) if row.target else ()
        for row, (ids, _) in zip(rows, asked, strict=True)
    ]
    inputs = [ids + target[:-1] for (ids, _), target in zip(asked, wanted, strict=True)]
    lengths = torch.tensor([len(ids) for ids, _ in asked], dtype=torch.long)
    columns = torch.arange(max(map(len, inputs), default=0))
    return Prompts(
        ids=_padded(inputs, _pad_id(tokenizer)),
        mask=columns[None, :] < torch.tensor([len(ids) for ids in inputs], dtype=torch.long)[:, None],
        lengths=lengths,
        subject_last=torch.tensor(
            [_found(offsets, row, names) for row, (_, offsets) in zip(rows, asked, strict=True)], dtype=torch.long
        ),
        labels=_labels(wanted, lengths, len(columns)),
        edit=torch.tensor([row.edit for row in rows], dtype=torch.long),
        group=torch.tensor([row.group for row in rows], dtype=torch.long),
    )


def _found(offsets: Sequence[tuple[int, int]], row: _Row, names: Sequence[str]) -> int:
    with _named(names[row.edit]):
        return subject_last(offsets, row.subject)


def _pad_id(tokenizer: Any) -> int:
    known = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((int(token) for token in known if token is not None), 0)


def _padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
    width = max(map(len, rows), default=0)
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], dtype=torch.long).reshape(-1, width)


def _labels(wanted: Sequence[Sequence[int]], lengths: Tensor, width: int) -> Tensor:
    labels = torch.full((len(wanted), width), IGNORED, dtype=torch.long)
    for row, (target, length) in enumerate(zip(wanted, lengths.tolist(), strict=True)):
        labels[row, length - 1 : length - 1 + len(target)] = torch.tensor(target, dtype=torch.long)
    return labels
