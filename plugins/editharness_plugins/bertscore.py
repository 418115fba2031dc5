"""BERTScore (Zhang et al. 2020, arXiv 1904.09675, section 3): do two texts mean the same to a language model's eyes?

Each token of either text is matched with the most similar one of the other, by the cosine of their contextual vectors:
recall R over the reference's tokens, precision P over the candidate's, F1 = 2 P R / (P + R). Neither idf weights nor a
baseline. arXiv 2502.11177 leaves it out of its main tables (6.4): a wrong answer of the right kind scores high.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from editharness.errors import ModelError, UsageError

if TYPE_CHECKING:
    from torch import Tensor


_POOLER = "pooler"


def load_encoder(folder: str) -> tuple[Any, Any]:
    """Model and tokenizer of a local folder, as transformers saves them; raises ModelError."""
    from transformers import AutoModel, AutoTokenizer

    try:
        model, found = AutoModel.from_pretrained(folder, local_files_only=True, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"no encoder for BERTScore in {folder}: {' '.join(str(error).split())[:200]}") from error
    lacking = sorted(key for key in found["missing_keys"] if not key.startswith(_POOLER))
    if lacking:
        raise ModelError(f"no encoder for BERTScore in {folder}: its weights lack {lacking[0]}")
    if hasattr(model, _POOLER):
        # reads what we do not ask for, and is drawn at random where the folder has none
        model.pooler = torch.nn.Identity()
    return model.eval(), tokenizer


def bertscore(
    model: Any, tokenizer: Any, candidates: Sequence[str], references: Sequence[str], *, layer: int = -1,
    batch_size: int = 32,
) -> list[float]:  # fmt: skip
    """F1 of each pair, in [-1, 1]; 0 where a text has no token. `layer`: which hidden states, counted as in a list."""
    if len(candidates) != len(references):
        raise UsageError(f"BERTScore needs pairs: {len(candidates)} candidates, {len(references)} references")
    texts = list(dict.fromkeys([*candidates, *references]))
    vectors: dict[str, Tensor] = {}
    for start in range(0, len(texts), batch_size):
        chunk = texts[start : start + batch_size]
        vectors |= zip(chunk, _vectors(model, tokenizer, chunk, layer), strict=True)
    return [f1(vectors[one], vectors[other]) for one, other in zip(candidates, references, strict=True)]


def f1(candidate: Tensor, reference: Tensor) -> float:
    """F1 of greedy matching between unit vectors [n, d] and [m, d]."""
    if not len(candidate) or not len(reference):
        return 0.0
    similar = candidate @ reference.T
    precision, recall = similar.amax(dim=1).mean(), similar.amax(dim=0).mean()
    total = float(precision + recall)
    return 2 * float(precision * recall) / total if total > 0 else 0.0


@torch.no_grad()
def _vectors(model: Any, tokenizer: Any, texts: Sequence[str], layer: int) -> list[Tensor]:
    """Unit vectors of each text's own tokens [n, d], special ones and padding left out."""
    tokenizer.padding_side = "right"
    rows = tokenizer(
        list(texts), return_tensors="pt", padding=True, truncation=True, return_special_tokens_mask=True
    ).to(model.device)  # fmt: skip
    special = rows.pop("special_tokens_mask")
    states = model(**rows, output_hidden_states=True).hidden_states
    if not -len(states) <= layer < len(states):
        raise UsageError(f"BERTScore layer {layer}: the encoder has {len(states) - 1} layers")
    unit = torch.nn.functional.normalize(states[layer].float(), dim=-1)
    own = rows["attention_mask"].bool() & ~special.bool()
    return [vectors[mine] for vectors, mine in zip(unit, own, strict=True)]
