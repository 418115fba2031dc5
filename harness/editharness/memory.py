"""How much memory a run needs, estimated from a model's configuration before anything is loaded.

    base       Python, torch, transformers and lm-eval, as measured
    weights    all of them, in the run's number format
    edited     of every edited weight its original bits, its running value and one delta (fp32)
    moments    per edited layer C and its factor, both [d_k, d_k] fp64
    batch      what the largest forward pass holds: asking (activations of one layer, cache, logits) or a value search
               (activations of all layers above the first, kept for the backward pass, and logits)

Methods keep things of their own (optimisers, trained editors, full deltas) that this does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

BASE = 550_000_000
TOKENS = 128
"""Of a long question with its answer."""
_NAMES = {
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "inner": ("intermediate_size", "n_inner", "ffn_dim"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "heads": ("num_attention_heads", "n_head"),
    "vocabulary": ("vocab_size",),
}


@dataclass(frozen=True)
class Estimate:
    """Bytes of each part."""

    base: int
    weights: int
    edited: int
    moments: int
    batch: int

    @property
    def total(self) -> int:
        """All parts."""
        return sum(getattr(self, part.name) for part in fields(self))


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model that memory depends on."""

    hidden: int
    inner: int
    layers: int
    heads: int
    vocabulary: int
    key_values: int

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Sizes | None:
        """From a config.json; None where it does not tell them."""
        config = {**config, **config.get("text_config", {})}
        found = {name: next((config[key] for key in keys if config.get(key)), None) for name, keys in _NAMES.items()}
        hidden, heads = found["hidden"], found["heads"]
        if hidden and heads:
            found["inner"] = found["inner"] or 4 * hidden
            size = config.get("head_dim") or hidden // heads
            found["key_values"] = 2 * size * (config.get("num_key_value_heads") or heads)
        values = {name: value for name, value in found.items() if isinstance(value, int)}
        return cls(**values) if len(values) == len(fields(cls)) else None


def estimate(
    sizes: Sizes, weights: int, bytes_each: int, layers: Sequence[int], rows: int, *, moments: bool,
    search_tokens: int = 0,
) -> Estimate:  # fmt: skip
    """Of a run that edits the down projections of `layers`, asks `rows` and searches `search_tokens` at once."""
    edited = len(layers) * sizes.hidden * sizes.inner * (bytes_each + 4 + 4)
    squared = len(layers) * sizes.inner**2 * 8 * 2 if moments else 0
    one_layer = (8 * sizes.hidden + 3 * sizes.inner) * bytes_each
    asked = rows * TOKENS * (one_layer + sizes.layers * sizes.key_values * bytes_each) + rows * 2 * sizes.vocabulary * 4
    above = sizes.layers - min(layers, default=0)
    searched = search_tokens * above * one_layer + search_tokens // 4 * 4 * sizes.vocabulary * 4
    return Estimate(BASE, weights, edited, squared, max(asked, searched))


def rows_within(
    budget: int, rows: int, sizes: Sizes, weights: int, bytes_each: int, layers: Sequence[int], *, moments: bool,
    search_tokens: int = 0,
) -> int:  # fmt: skip
    """The most rows, halved as often as needed, that stay within so many bytes; 0: not even one does."""
    while rows:
        told = estimate(sizes, weights, bytes_each, layers, rows, moments=moments, search_tokens=search_tokens)
        if told.total <= budget:
            return rows
        rows //= 2
    return 0
