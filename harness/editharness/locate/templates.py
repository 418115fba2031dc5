"""Context templates: short texts of the model's own, put before a prompt ("Therefore, it is. {}").

Keys and values averaged over them are no accident of the prompt standing first.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

STARTERS = ("The", "Therefore", "Because", "I", "You")


@dataclass(frozen=True)
class Sampling:
    """How contexts are sampled: starters take turns, then top-k and top-p sampling at a temperature.

    `fresh`: the length counts new tokens only, not all (starter and beginning-of-text token included).
    """

    starters: tuple[str, ...] = STARTERS
    top_k: int = 5
    top_p: float = 1.0
    temperature: float = 1.0
    fresh: bool = False


SHORT = Sampling()
"""ROME's and MEMIT's."""

VARIED = Sampling(
    starters=(*STARTERS, "However", "Also", "Nevertheless", "He", "It", "Can", "Because"),
    top_k=100,
    top_p=0.9,
    temperature=0.5,
    fresh=True,
)
"""NAMET's."""


def context_templates(
    model: nn.Module, tokenizer: Any, count: int, length: int, generator: Generator, sampling: Sampling = SHORT
) -> tuple[str, ...]:
    """`count` templates "text. {}" of `length` tokens.

    No special tokens; braces, which would read as a place for the prompt, and line breaks become spaces.
    """
    device = next(model.parameters()).device
    found = []
    for index in range(count):
        ids = torch.tensor([tokenizer.encode(sampling.starters[index % len(sampling.starters)])])
        end = length + ids.shape[1] if sampling.fresh else length
        while ids.shape[1] < end:
            with torch.no_grad():
                logits = model(input_ids=ids.to(device), use_cache=False).logits[0, -1].float().cpu()
            ids = torch.cat([ids, _sample(logits, set(tokenizer.all_special_ids), sampling, generator)], dim=1)
        found.append(template(tokenizer.decode(ids[0], skip_special_tokens=True)))
    return tuple(found)


def template(text: str) -> str:
    """A text as a context: NFKD, one line, no braces, then ". {}"."""
    words = unicodedata.normalize("NFKD", text).replace("{", " ").replace("}", " ").split()
    return " ".join(words) + ". {}"


def _sample(logits: Tensor, special: set[int], sampling: Sampling, generator: Generator) -> Tensor:
    logits[[i for i in special if i < len(logits)]] = -torch.inf
    values, indices = (logits / sampling.temperature).topk(min(sampling.top_k, len(logits)))
    shares = values.softmax(dim=0)
    shares[shares.cumsum(dim=0) - shares >= sampling.top_p] = 0.0
    return indices[torch.multinomial(shares, 1, generator=generator)][None]
