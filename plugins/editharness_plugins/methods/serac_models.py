"""The two parts of SERAC: a scope classifier and a counterfactual model.

Both read the base model's tokens and start from nothing, since pretrained ones (the paper's DistilBERT, a small model
of the base's family) cannot be counted on offline. The classifier's vector c(text) is the sum of its tokens' learned
vectors: words that wordings share learn to be short, and a name that was never seen keeps the length it began with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from editharness.method import Host
from editharness_plugins.methods.options.in_context import SeracOptions
from editharness_plugins.methods.texts import positions

if TYPE_CHECKING:
    from torch import Tensor


def vectors(table: Tensor, ids: Sequence[Sequence[int]]) -> Tensor:
    """c of each text: the sum of its tokens' rows of `table` [v, d], each token once. [n, d]"""
    sets = [sorted(set(one)) for one in ids]
    starts = torch.tensor([0, *(len(one) for one in sets[:-1])]).cumsum(0)
    flat = torch.tensor([token for one in sets for token in one], dtype=torch.long)
    return F.embedding_bag(flat.to(table.device), table, starts.to(table.device), mode="sum")


def scores(texts: Tensor, cached: Tensor) -> Tensor:
    """s = exp(−‖c(text) − c(edit)‖²), rows against rows, in [0, 1]."""
    return torch.exp(-(texts - cached).square().sum(dim=-1))


def scope_loss(same: Tensor, other: Tensor) -> Tensor:
    """Binary cross-entropy of s, from squared distances: texts in scope [n] and out of scope [m], weighted alike."""
    return same.mean() - torch.log(-torch.expm1(-other.clamp_min(1e-6))).mean()


def small_model(config: Mapping[str, Any]) -> Any:
    """A small Llama over the base's vocabulary; its weights are arbitrary, the global generator is as it was."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **config), dtype=torch.float32)


def small_config(host: Host, options: SeracOptions) -> dict[str, Any]:
    """Its configuration. The vocabulary is as wide as the base's head, padding included."""
    base = host.model.config
    return {
        "vocab_size": int(host.model.get_parameter(f"{host.modules.head}.weight").shape[0]),
        "hidden_size": options.hidden,
        "intermediate_size": 3 * options.hidden,
        "num_hidden_layers": options.layers,
        "num_attention_heads": options.heads,
        "num_key_value_heads": options.heads,
        "max_position_embeddings": positions(host.model),
        "tie_word_embeddings": True,
        **{name: getattr(base, name, None) for name in ("bos_token_id", "eos_token_id", "pad_token_id")},
    }
