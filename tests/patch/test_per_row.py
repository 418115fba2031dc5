"""Rows under patches of their own, against the same patches applied one after the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from editharness.models.load import weights_digest
from editharness.models.modules import module_map
from editharness.patch import Dense, LowRank, ModulePatch, WeightPatch, apply
from editharness.patch.per_row import fits, per_row, rooms
from editharness.testing.tiny import FAMILIES, tiny

IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [5, 6, 7, 8]])


def low_rank(model: Any, layer: int, rank: int, seed: int) -> WeightPatch:
    name = module_map(model).down_weight(layer)
    rows, columns = model.get_parameter(name).shape
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(rows, rank, generator=generator), torch.randn(rank, columns, generator=generator)
    return WeightPatch({name: LowRank(a, b)})


def patches(model: Any) -> list[WeightPatch]:
    """Of several ranks and layers, one row without any change."""
    both = {**low_rank(model, 1, 2, 1).deltas, **low_rank(model, 2, 1, 2).deltas}
    return [low_rank(model, 1, 1, 0), WeightPatch(both), WeightPatch({}), low_rank(model, 2, 3, 3)]


@torch.no_grad()
def logits(model: Any, ids: Tensor) -> Tensor:
    found: Tensor = model(input_ids=ids, use_cache=False).logits
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_each_row_is_answered_as_if_its_patch_were_applied(family: str) -> None:
    model, _ = tiny(family)
    own, before = patches(model), weights_digest(model)
    with per_row(model, own):
        together = logits(model, IDS)
    for row, patch in enumerate(own):
        with apply(model, patch):
            alone = logits(model, IDS[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, atol=2e-5, rtol=1e-4)
    assert (together[0] - logits(model, IDS)[0]).abs().max() > 0.01
    assert weights_digest(model) == before


def test_rows_that_are_dropped_take_their_patches_along() -> None:
    model, _ = tiny("llama")
    own, kept = patches(model), torch.tensor([1, 3])
    with per_row(model, own) as patched:
        whole = logits(model, IDS)
        patched.keep(kept)
        torch.testing.assert_close(logits(model, IDS[kept]), whole[kept], atol=1e-5, rtol=1e-4)


def test_no_hook_is_left_behind() -> None:
    model, _ = tiny("gpt2")
    with pytest.raises(RuntimeError), per_row(model, patches(model)):
        raise RuntimeError
    assert torch.equal(logits(model, IDS), logits(tiny("gpt2")[0], IDS))


def test_what_rows_cannot_carry_does_not_fit() -> None:
    model, _ = tiny("llama")
    one = low_rank(model, 1, 1, 0)
    name, delta = next(iter(one.deltas.items()))
    assert isinstance(delta, LowRank)
    assert fits(one, rooms(model))
    assert not fits(None, rooms(model))
    assert not fits(ModulePatch({}), rooms(model))
    assert not fits(WeightPatch({name: Dense(delta.a @ delta.b)}), rooms(model))
    assert not fits(low_rank(model, 1, 24, 0), rooms(model)), "factors nearly as large as the weight"
    norm = "model.layers.1.input_layernorm.weight"
    assert not fits(WeightPatch({norm: LowRank(torch.ones(32, 1), torch.ones(1, 1))}), rooms(model))
    assert not fits(WeightPatch({"model.nowhere.weight": delta}), rooms(model))
    assert not fits(one, rooms(model.to(torch.bfloat16))), "rounding in 16 bits is part of an edit"
