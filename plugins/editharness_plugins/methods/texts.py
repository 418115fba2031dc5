"""Texts among tensors, and how long a text is: what a router needs that only has tensors and JSON.

A state holds tensors only, so JSON and the tokenizer travel in it as UTF-8 bytes, never pickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer

from editharness.locate.batch import encodable
from editharness.types import Edit, Status

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.method import Host

_UNKNOWN_WINDOW = 2048  # what lm-eval assumes of a model that does not say


def pack(text: str) -> Tensor:
    """A text that is not empty as UTF-8 bytes, uint8 [n]."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def unpack(data: Tensor) -> str:
    """The text that `pack` packed."""
    return bytes(data.numpy()).decode()


def pack_json(value: object) -> Tensor:
    """A JSON value as UTF-8 bytes, uint8 [n]."""
    return pack(json.dumps(value))


def unpack_json(data: Tensor) -> Any:
    """The value that `pack_json` packed."""
    return json.loads(unpack(data))


def pack_tokenizer(tokenizer: Any) -> Tensor:
    """A fast tokenizer as its own JSON, uint8 [n], without the padding and truncation that its last user set."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    return pack(copy.to_str())


def positions(model: nn.Module) -> int:
    """How many tokens a model can read at once, as lm-eval takes it."""
    return int(getattr(model.config, "max_position_embeddings", None) or _UNKNOWN_WINDOW)


def statement(prompt: str, answer: str) -> str:
    """Prompt and answer with one space between them."""
    return f"{prompt.rstrip()} {answer.strip()}"


@dataclass(frozen=True)
class Reader:
    """Reads texts as the model does. `data` is what `pack_tokenizer` made."""

    data: Tensor

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer."""
        return Tokenizer.from_str(unpack(self.data))

    def fits(self, text: str, room: int) -> bool:
        """Whether the text, with its special tokens, is at most `room` tokens long."""
        # a token is at least one byte, so most texts need no tokenizer where windows are long; two for BOS and EOS
        return len(text.encode()) + 2 <= room or len(self.tokenizer.encode(text).ids) <= room

    def ids(self, text: str) -> list[int]:
        """The text's tokens without special ones, as they are inside a sentence."""
        return list(self.tokenizer.encode(" " + text.strip(), add_special_tokens=False).ids)


def tellable(
    host: Host,
    edits: Sequence[Edit],
    text: Callable[[Edit], str],
    reader: Reader,
    room: int,
    facts: Mapping[str, float],
) -> tuple[list[Edit], tuple[Status, ...]]:
    """The edits that can be told, and the status of every edit, with `facts` where it is done.

    `text` is what will be read when an edit is asked with its own prompt; it must have at most `room` tokens.
    """
    usable, failed = encodable(host, edits)
    long = [edit for edit in usable if not reader.fits(text(edit), room)]
    failed |= {e.id: Status(e.id, "failed", f"the fact and its question are longer than {room} tokens") for e in long}
    statuses = tuple(failed.get(edit.id, Status(edit.id, "done", facts=dict(facts))) for edit in edits)
    return [edit for edit in usable if edit.id not in failed], statuses
