"""Attention to a frozen past beside what is new, against torch's own over both in one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from editharness.locate.attending import Beside, attend, beside, separable
from editharness.testing.tiny import FAMILIES, tiny

ROWS, HEADS, WIDTH = 3, 4, 8


def mask(new: int, old: int) -> Tensor:
    """Causal, with padding at the left of the first row."""
    seen = torch.ones(ROWS, 1, new, old + new, dtype=torch.bool).tril(old)
    seen[0, :, :, :2] = False
    return seen


@pytest.mark.parametrize("additive", [False, True])
@pytest.mark.parametrize("key_heads", [HEADS, 2])
@pytest.mark.parametrize(("new", "old", "first"), [(3, 7, 0), (3, 7, 2), (1, 4, 0), (6, 4, 0), (6, 4, 3), (70, 4, 0)])
def test_the_same_and_with_the_same_gradients(new: int, old: int, first: int, key_heads: int, additive: bool) -> None:
    torch.manual_seed(0)
    query = torch.randn(ROWS, HEADS, new, WIDTH, requires_grad=True)
    key, value = (torch.randn(ROWS, key_heads, new, WIDTH, requires_grad=True) for _ in range(2))
    keys, values = (torch.randn(ROWS, key_heads, old, WIDTH) for _ in range(2))
    allowed = mask(new, old)
    wanted = scaled_dot_product_attention(
        query, torch.cat([keys, key], 2), torch.cat([values, value], 2), attn_mask=allowed, enable_gqa=True
    ).transpose(1, 2)
    told = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min) if additive else allowed
    module = cast("Any", SimpleNamespace(layer_idx=5, is_causal=True, num_key_value_groups=HEADS // key_heads))
    with beside([], {5: (keys, values)}, {5: first}):
        found, _ = attend(module, query, key, value, told)
    torch.testing.assert_close(found[:, first:], wanted[:, first:])
    asked = (query, key, value)
    ours = torch.autograd.grad(found[:, first:].square().sum(), asked)
    theirs = torch.autograd.grad(wanted[:, first:].square().sum(), asked)
    torch.testing.assert_close(ours, theirs)


def test_a_stand_in_for_the_past_has_its_length_and_hands_back_what_is_new() -> None:
    cache, new = Beside(7), torch.randn(2, 1, 3, 4)
    assert cache.update(new, new, 2) == (new, new)
    assert (cache.get_seq_length(), cache.get_mask_sizes(3, 0)) == (7, (10, 0))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_is_as_it_was_afterwards(family: str) -> None:
    model, _ = tiny(family)
    configs, own = separable(model), model.config._attn_implementation
    with beside(configs, {}, {}):
        assert (model.config._attn_implementation != own) == bool(configs)
    assert model.config._attn_implementation == own
    assert not separable(model.bfloat16()), "in 16 bits the kernel rounds less"
