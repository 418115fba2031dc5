"""From which rank on is it faster to apply a patch than to let rows carry it? `per_row.WORTH` is chosen by this."""

from __future__ import annotations

import random
from typing import Any

import shapes
import torch
from timing import Pair
from torch import Tensor

from editharness.models.modules import module_map
from editharness.patch import LowRank, WeightPatch, apply
from editharness.patch.per_row import per_row

EDITS, ROWS = 60, 64


def pair(shape: str, rank: int, probes: int) -> Pair:
    """All edits' probes in batches of 64 rows, each row with its own patch; against one batch per edit."""
    wanted = shapes.SHAPES[shape]
    model, tokenizer = shapes.make(wanted)
    lot, name = random.Random(0), [module_map(model).down_weight(layer) for layer in (1, 2, 3)]
    patches = [_patch(name, wanted, rank, number) for number in range(EDITS)]
    asked = [
        (edit, tokenizer(shapes.some_words(lot, lot.randint(5, 17), wanted.words)).input_ids)
        for edit in range(EDITS)
        for _ in range(probes)
    ]
    together = sorted(asked, key=lambda one: len(one[1]))

    @torch.no_grad()
    def ours() -> None:
        for rows in (together[start : start + ROWS] for start in range(0, len(together), ROWS)):
            with per_row(model, [patches[edit] for edit, _ in rows]):
                model(**_padded([ids for _, ids in rows]), use_cache=False, logits_to_keep=1)

    @torch.no_grad()
    def theirs() -> None:
        for edit, patch in enumerate(patches):
            with apply(model, patch):
                model(**_padded([ids for mine, ids in asked if mine == edit]), use_cache=False, logits_to_keep=1)

    share = rank * (wanted.hidden + wanted.inner) / (wanted.hidden * wanted.inner)
    name_of = f"rank {rank} ({100 * share:.3g}% of the weight), {probes} probes an edit"
    return Pair(name_of, ours, theirs, lambda a, b: "", least=1)


def _patch(names: list[str], shape: shapes.Shape, rank: int, seed: int) -> WeightPatch:
    generator = torch.Generator().manual_seed(seed)

    def one() -> LowRank:
        a, b = (torch.randn(*size, generator=generator) for size in ((shape.hidden, rank), (rank, shape.inner)))
        return LowRank(0.002 * a, 0.02 * b)

    return WeightPatch({name: one() for name in names})


def _padded(rows: list[list[int]]) -> dict[str, Tensor]:
    width = max(map(len, rows))
    ids: list[Any] = [[*row, *[0] * (width - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
