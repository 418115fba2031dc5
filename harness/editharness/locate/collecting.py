"""Gather second moments over a corpus: several layers in one pass, block by block, so that it can be taken up again.

    sums = Σ k kᵀ per layer      products in fp32 within a chunk of rows, sums in fp64

A corpus may be split: the sums of its parts add up to those of the whole (in another order, so the last bits differ).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from editharness.errors import MethodError
from editharness.locate.forward import chunks
from editharness.locate.moments import Moments
from editharness.models.capture import capture
from editharness.models.spans import encode_texts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.models.modules import ModuleMap

MAX_LENGTH = 1024
BLOCK = 8192
"""Documents that are encoded and sorted by length together; after each block the sums may be kept."""


@dataclass(frozen=True)
class Sums:
    """Σ k kᵀ [d_k, d_k] fp64 per layer over `tokens` tokens, the first `documents` of the texts."""

    totals: Mapping[int, Tensor]
    tokens: int
    documents: int

    def moments(self) -> dict[int, Moments]:
        """The means, rounded to fp32, in which they are kept; raises MethodError where there was no text."""
        if not self.tokens:
            raise MethodError("second moments need texts, and there are none: give a corpus with --texts FILE")
        return {
            layer: Moments((total / self.tokens).float().double(), self.tokens) for layer, total in self.totals.items()
        }


def joined(parts: Sequence[Sums]) -> Sums:
    """The sums of a corpus whose parts these are, added in this order."""
    totals = {layer: torch.stack([part.totals[layer] for part in parts]).sum(dim=0) for layer in parts[0].totals}
    return Sums(totals, sum(part.tokens for part in parts), sum(part.documents for part in parts))


def collect(
    model: nn.Module,
    modules: ModuleMap,
    tokenizer: Any,
    texts: Sequence[str],
    layers: Sequence[int],
    *,
    max_length: int = MAX_LENGTH,
    budget: int = 4096,
    block: int = BLOCK,
    progress: Callable[[int, int], None] | None = None,
    start: Sums | None = None,
    keep: Callable[[Sums], None] = lambda sums: None,
) -> Sums:
    """The sums of several layers in one pass over `texts`.

    `budget`: tokens per forward pass; `block`: documents that are sorted by length together, after which `keep` is
    called. `start`: what it was given by an interrupted pass over the same texts; the result then has the same bits as
    an uninterrupted one.
    """
    device = next(model.parameters()).device
    names = {layer: modules.down_projection(layer) for layer in sorted(layers)}
    nothing = {layer: torch.zeros(2 * (modules.key_size(layer),), dtype=torch.float64) for layer in names}
    sums = start or Sums(nothing, 0, 0)
    while sums.documents < len(texts):
        some = texts[sums.documents : sums.documents + block]
        documents = [ids[:max_length] for ids, _ in encode_texts(tokenizer, some) if ids]
        totals, done = dict(sums.totals), sums.documents + len(some) - len(documents)
        for rows in chunks([len(d) for d in documents], budget):
            for layer, found in _products(model, names, [documents[row] for row in rows], device).items():
                totals[layer] = totals[layer].to(found.device) + found  # each where its layer is
            done += len(rows)
            if progress is not None:
                progress(done, len(texts))
        sums = Sums(totals, sums.tokens + sum(map(len, documents)), sums.documents + len(some))
        keep(sums)
    return sums


def _products(
    model: nn.Module, names: Mapping[int, str], documents: Sequence[Sequence[int]], device: torch.device
) -> dict[int, Tensor]:
    """Kᵀ K [d_k, d_k] fp32 per layer over the documents' tokens; nothing above the last layer is computed."""
    width = max(map(len, documents))
    ids = torch.tensor([[*d, *[0] * (width - len(d))] for d in documents], device=device)
    mask = torch.tensor([[True] * len(d) + [False] * (width - len(d)) for d in documents], device=device)
    with torch.no_grad(), capture(model, dict.fromkeys(names.values(), "input"), stop=True) as seen:
        model(input_ids=ids, attention_mask=mask, use_cache=False)
    keys = {layer: seen[name][mask.to(seen[name].device)].float() for layer, name in names.items()}
    return {layer: found.mT @ found for layer, found in keys.items()}
