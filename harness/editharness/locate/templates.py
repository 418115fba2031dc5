"""Context templates: short texts of the model's own, put before a prompt ("Therefore, it is. {}").

Keys and values averaged over them are no accident of the prompt standing first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

STARTERS = ("The", "Therefore", "Because", "I", "You")


def context_templates(
    model: nn.Module,
    tokenizer: Any,
    count: int,
    length: int,
    generator: Generator,
    *,
    starters: Sequence[str] = STARTERS,
    top_k: int = 5,
) -> tuple[str, ...]:
    """`count` templates "text. {}" of `length` tokens, their starter and the beginning-of-text token included.

    Starters take turns. Top-k sampling at temperature 1, without special tokens; braces, which would read as a place
    for the prompt, and line breaks become spaces.
    """
    device = next(model.parameters()).device
    found = []
    for index in range(count):
        ids = torch.tensor([tokenizer.encode(starters[index % len(starters)])])
        while ids.shape[1] < length:
            with torch.no_grad():
                logits = model(input_ids=ids.to(device), use_cache=False).logits[0, -1].float().cpu()
            ids = torch.cat([ids, _sample(logits, set(tokenizer.all_special_ids), top_k, generator)], dim=1)
        found.append(template(tokenizer.decode(ids[0], skip_special_tokens=True)))
    return tuple(found)


def template(text: str) -> str:
    """A text as a context: NFKD, one line, no braces, then ". {}"."""
    words = unicodedata.normalize("NFKD", text).replace("{", " ").replace("}", " ").split()
    return " ".join(words) + ". {}"


def _sample(logits: Tensor, special: set[int], top_k: int, generator: Generator) -> Tensor:
    logits[[i for i in special if i < len(logits)]] = -torch.inf
    values, indices = logits.topk(min(top_k, len(logits)))
    return indices[torch.multinomial(values.softmax(dim=0), 1, generator=generator)][None]
