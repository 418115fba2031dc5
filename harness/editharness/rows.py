"""What a replaced module may know about the rows it sees: which columns are real, where the prompt ends, which phase.

A memory that decides by the prompt (GRACE, WISE) cannot tell from activations alone where it ends: rows are padded, on
the left or on the right, and with a cache each new token comes alone. Who runs the model says so, as EditedLM does:

    with publishing(Rows.of_scoring(lengths, mask)): model(...)     # prompt and answer in one pass
    with generating(model): model.generate(...)                     # told from the forward passes themselves
    asked = rows()                                                  # the module, inside its forward
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from editharness.errors import MethodError

Phase = Literal["score", "prefill", "decode"]


@dataclass(frozen=True)
class Rows:
    """The rows of one forward pass, [B, T] as the model gets them.

    `mask` [B, T] bool: columns that hold a token; `prompt` [B, T] bool: columns of the prompt, which answers follow.
    `phase`: "score" (prompt and what follows at once: teacher forcing, or generation without a cache), "prefill" (the
    prompt, before generation with a cache) or "decode" (one new token per row; `prompt` is all False). `memo` lives
    through one call of generate: a module keeps there, under itself, what it decided about each row.
    """

    mask: Tensor
    prompt: Tensor
    phase: Phase
    memo: dict[nn.Module, Any] = field(default_factory=dict)

    @property
    def last_prompt(self) -> Tensor:
        """Column of each row's last prompt token [B] int64; only where there is a prompt (score, prefill)."""
        columns = torch.arange(self.prompt.shape[1], device=self.prompt.device)
        return torch.where(self.prompt, columns, -1).max(dim=1).values

    @classmethod
    def of_scoring(cls, prompt_lengths: Tensor, mask: Tensor) -> Rows:
        """Prompt and answer in one pass, padded on any side: the first `prompt_lengths` [B] real tokens are prompt."""
        mask = mask.bool()
        return cls(mask, mask & (mask.long().cumsum(dim=1) <= prompt_lengths[:, None]), "score")


class WholeSequence(nn.Module):
    """Base of modules that judge prompt and answer so far anew at every step, and so cannot go with a cache.

    EditedLM generates without one while such a module is in the model.
    """


def cacheable(model: nn.Module) -> bool:
    """Whether generation may keep a cache: no module in place is a `WholeSequence`."""
    return not any(isinstance(module, WholeSequence) for module in model.modules())


_ROWS: ContextVar[Rows | None] = ContextVar("editharness_rows", default=None)


@contextmanager
def publishing(now: Rows) -> Iterator[Rows]:
    """While this is open, `rows()` gives `now`."""
    token = _ROWS.set(now)
    try:
        yield now
    finally:
        _ROWS.reset(token)


def rows() -> Rows:
    """The rows of the running forward pass; raises MethodError where nobody has said what they are."""
    now = _ROWS.get()
    if now is None:
        raise MethodError(
            "this module must know where the prompt ends: run the model through EditedLM, "
            "or inside editharness.rows.publishing or .generating"
        )
    return now


@contextmanager
def generating(model: nn.Module) -> Iterator[None]:
    """Around `model.generate(...)`, with or without a cache: publishes prefill and decode by watching the passes.

    A pass that does not continue the rows of the one before begins a new call, with a memo of its own. Rows may be
    padded on either side. Raises MethodError, out of generate, for a pass that cannot be told: embeddings in place of
    token ids, a mask that is not [B, T], a prompt in several passes.
    """
    call: _Call | None = None

    def before(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        nonlocal call
        ids, mask, past = _seen(args, named)
        if past:
            if call is None:
                raise MethodError("generation goes on from a cache that was filled outside: begin inside this context")
            _ROWS.set(call.decode(ids))
            return
        if call is None or not call.goes_on(ids):
            call = _Call(ids, mask)
        _ROWS.set(call.whole(mask))

    token = _ROWS.set(None)
    hook = model.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
        _ROWS.reset(token)


class _Call:
    """One call of generate: its prompt [B, P] and its memo."""

    def __init__(self, ids: Tensor, mask: Tensor) -> None:
        self.ids, self.mask = ids, mask
        self.memo: dict[nn.Module, Any] = {}

    def goes_on(self, ids: Tensor) -> bool:
        """Whether these rows [B, T] are the prompt and more."""
        width = self.ids.shape[1]
        return len(ids) == len(self.ids) and ids.shape[1] > width and torch.equal(ids[:, :width], self.ids)

    def whole(self, mask: Tensor) -> Rows:
        """A pass over all columns: the prompt alone, or without a cache what was generated as well."""
        generated = mask.shape[1] - self.mask.shape[1]
        prompt = nn.functional.pad(self.mask, (0, generated))
        return Rows(mask, prompt, "score" if generated else "prefill", self.memo)

    def decode(self, ids: Tensor) -> Rows:
        """One new token per row."""
        if ids.shape[1] != 1:
            raise MethodError(f"{ids.shape[1]} tokens came at once after the prompt: generate one at a time")
        new = torch.ones_like(ids, dtype=torch.bool)
        return Rows(new, ~new, "decode", self.memo)


def _seen(args: tuple[Any, ...], named: Mapping[str, Any]) -> tuple[Tensor, Tensor, bool]:
    """Token ids and mask [B, T] bool of a pass, and whether a cache holds what came before."""
    ids = args[0] if args else named.get("input_ids")
    if not torch.is_tensor(ids):
        raise MethodError("this module must know where the prompt ends: give the model token ids, not embeddings")
    mask = named.get("attention_mask")
    cache = named.get("past_key_values")
    past = cache is not None and cache.get_seq_length() > 0
    if mask is None or past:
        return ids, torch.ones_like(ids, dtype=torch.bool), past
    if not torch.is_tensor(mask) or mask.shape != ids.shape:
        raise MethodError("this module must know which columns are padding: give the model a mask [rows, columns]")
    return ids, mask.bool(), past
