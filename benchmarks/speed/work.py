"""The least floating-point work of a value search, and what share of the machine's matmul rate it reaches.

    per pass and row:  2 · (T · (L·layer − MLP) + A · (MLP + head))   forward, as much again backward
    once per row:      2 · S · layers · layer

T tokens from the subject's last on, A tokens whose logits are asked, S tokens in all; L layers above the site; layer,
MLP and head are numbers of weights. Attention's own products, norms and the vocabulary's softmax are left out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import shapes
import torch
import values

from editharness.locate.rows import aligned
from editharness.locate.values import optimise_values
from editharness.models.modules import module_map
from editharness.models.spans import IGNORED, encode_edits, essence_prompts
from editharness.types import Edit


def matmul_rate(device: str, dtype: torch.dtype, size: int = 2048) -> float:
    """FLOP/s of a square product."""
    a = torch.randn(size, size, device=device, dtype=dtype)
    for _ in range(3):
        a @ a
    _wait(device)
    start, times = time.perf_counter(), 0
    while time.perf_counter() - start < 1.0:
        a @ a
        times += 1
        _wait(device)
    return float(2 * size**3 * times / (time.perf_counter() - start))


def search(
    shape: shapes.Shape, model: Any, tokenizer: Any, edits: Sequence[Edit], contexts: Sequence[str], layer: int
) -> tuple[float, float]:
    """Seconds of a value search, and its least FLOPs."""
    prompts, essence = encode_edits(tokenizer, edits, contexts), essence_prompts(tokenizer, edits)
    device = str(model.device)
    _wait(device)
    start = time.perf_counter()
    found = optimise_values(model, module_map(model), layer, prompts, essence, values.OPTIONS)
    _wait(device)
    took = time.perf_counter() - start
    rows = aligned(prompts, essence)
    above = shape.layers - 1 - layer
    tokens, asked = rows.widths(), (rows.labels != IGNORED).sum(dim=1) + rows.essence.long()
    mlp, whole = 3 * shape.hidden * shape.inner, weights(shape)
    once = 2 * tokens * (above * whole - mlp) + 2 * asked * (mlp + shape.hidden * shape.words)
    passes = 2 * found.steps.cpu()[rows.edit] + 1
    return took, float((once * passes).sum() + 2 * rows.mask.sum() * shape.layers * whole)


def weights(shape: shapes.Shape) -> int:
    """Weights of one layer that every token is multiplied with."""
    heads = 2 * shape.hidden * (shape.hidden + shape.hidden * shape.key_heads // shape.heads)
    return heads + 3 * shape.hidden * shape.inner


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
