"""Attention of a few new tokens to a past that is frozen: the products with the past and with the new ones apart.

    softmax([Q Kpᵀ, Q Kᵀ] / √d + mask) [Vp; V]

The fused kernel wants both in one tensor, copied in every pass, and takes the gradient of the past as well; on a CPU
that is twice the time. It is left to its own where a model uses another attention than torch's, on other devices, in 16
bits, and where there is one new token or are many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PretrainedConfig
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from torch import Tensor

NAME = "editharness_frozen_past"
MANY = 64
"""New tokens above which the fused kernel is left to its own."""
FrozenPast = Mapping[int, tuple["Tensor", "Tensor"]]
"""Per layer keys and values [B, heads, S, d]."""

_past: ContextVar[tuple[FrozenPast, Mapping[int, int]]] = ContextVar(NAME)


class Beside(DynamicCache):  # type: ignore[misc]  # transformers has no types
    """Stands for a past of so many columns that `attend` has of its own: the model is handed back what is new."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def update(self, keys: Tensor, values: Tensor, layer: int, *rest: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """The new keys and values as they are."""
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """The columns of the past."""
        return self.columns

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """All columns, from the first on."""
        return self.columns + query_length, 0


def separable(model: nn.Module) -> tuple[Any, ...]:
    """The configurations by which a model whose attention can be taken apart chooses it; none of one that cannot be."""
    parts: list[Any] = [part for part in model.modules() if isinstance(getattr(part, "config", None), PretrainedConfig)]
    attentions = [part for part in parts if hasattr(part, "layer_idx")]
    if not attentions or any(part.config._attn_implementation != "sdpa" for part in attentions):
        return ()
    wide = (torch.float32, torch.float64)  # in 16 bits the kernel rounds less than these products do
    weights = [weight for part in attentions for weight in part.parameters()]
    if any(weight.device.type != "cpu" or weight.dtype not in wide for weight in weights):
        return ()
    return tuple({id(part.config): part.config for part in parts}.values())


@contextmanager
def beside(configs: Sequence[Any], past: FrozenPast, first: Mapping[int, int]) -> Iterator[None]:
    """While this is open, a model of these configurations attends to `past` beside what is new.

    `first`: per layer the first new token whose output is wanted; before it there are zeros.
    """
    token = _past.set((past, first))
    own = [config._attn_implementation_internal for config in configs]
    try:
        for config in configs:
            config._attn_implementation_internal = NAME
        yield
    finally:
        _past.reset(token)
        for config, name in zip(configs, own, strict=True):
            config._attn_implementation_internal = name


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    dropout: float = 0.0, scaling: float | None = None, **others: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """[B, T, heads, d] of queries [B, heads, T, d] and new keys and values [B, key heads, T, d]; called by models."""
    layer: Any = module.layer_idx
    past, wanted = _past.get()
    keys, values = past[layer]
    new, old = query.shape[2], keys.shape[2]
    if attention_mask is None or new == 1 or new > MANY:
        key, value = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
        given: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
        return given
    first = wanted.get(layer, 0)
    query, attention_mask = query[:, :, first:], attention_mask[:, :, first:]
    pieces = [(keys, values), (key, value)]
    if new > old:  # little is copied then, and one product of both is the faster way
        pieces = [(torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2))]
    groups = query.shape[1] // key.shape[1]
    pieces = [(repeat_kv(k, groups), repeat_kv(v, groups)) for k, v in pieces]
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    scores = torch.cat([query @ k.mT for k, _ in pieces], dim=-1)
    if attention_mask.dtype == torch.bool:
        least = torch.finfo(scores.dtype).min
        attention_mask = torch.zeros_like(attention_mask, dtype=scores.dtype).masked_fill(~attention_mask, least)
    weights = torch.split((scores + attention_mask).softmax(dim=-1), [k.shape[2] for k, _ in pieces], dim=-1)
    first_seen, *more = (weight @ v for weight, (_, v) in zip(weights, pieces, strict=True))
    seen = first_seen + more[0] if more else first_seen
    return pad(seen.transpose(1, 2), (0, 0, 0, 0, first, 0)).contiguous(), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
