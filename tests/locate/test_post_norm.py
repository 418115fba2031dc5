"""What an MLP must write behind a norm, against the model's own forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from editharness.locate.post_norm import written
from editharness.models.modules import module_map

normed = pytest.mark.parametrize("family", ["gemma2", "gemma3", "olmo2"])


def at_keys(model: Any, count: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Keys [d_k, n], what the MLP writes at them [n, d_h], what arrives in the stream [n, d_h]; layer 1."""
    modules = module_map(model)
    key = torch.randn(modules.key_size(1), count, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        m = model.get_submodule(modules.down_projection(1))(key.mT)
        return key, m, model.get_submodule(modules.mlp_added(1))(m)


@normed
def test_a_change_that_can_be_reached_is_met(made: Callable[[str], tuple[Any, Any]], family: str) -> None:
    model, _ = made(family)
    key, m, added = at_keys(model)
    norm = model.get_submodule(module_map(model).mlp_added(1))
    wanted = norm(m + torch.randn(m.shape, generator=torch.Generator().manual_seed(1)))
    d = written(model, module_map(model), 1, key, (wanted - added).mT).mT
    torch.testing.assert_close(norm(m + d), wanted, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close((m + d).norm(dim=1), m.norm(dim=1))


@normed
def test_any_change_is_met_in_direction(made: Callable[[str], tuple[Any, Any]], family: str) -> None:
    model, _ = made(family)
    key, m, added = at_keys(model)
    norm = model.get_submodule(module_map(model).mlp_added(1))
    wanted = added + 2 * torch.randn(m.shape, generator=torch.Generator().manual_seed(1))
    d = written(model, module_map(model), 1, key, (wanted - added).mT).mT
    torch.testing.assert_close(torch.cosine_similarity(norm(m + d), wanted), torch.ones(len(m)), rtol=1e-4, atol=1e-4)
    naive = torch.cosine_similarity(norm(m + wanted - added), wanted)
    assert bool((naive < 0.999).all()), "added to what the MLP writes, the change would not arrive as it is"


def test_a_channel_that_is_silent_is_left_alone(made: Callable[[str], tuple[Any, Any]]) -> None:
    model, _ = made("olmo2")
    gain = model.get_submodule(module_map(model).mlp_added(1)).weight
    kept = gain[3].clone()
    gain[3] = 0.0
    try:
        key, m, _ = at_keys(model)
        d = written(model, module_map(model), 1, key, torch.ones(32, 3)).mT
    finally:
        gain[3] = kept
    assert bool(d.isfinite().all())
    assert bool((d[:, 3].abs() <= m[:, 3].abs()).all())


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3"])
def test_without_a_norm_it_is_the_change_itself(made: Callable[[str], tuple[Any, Any]], family: str) -> None:
    model, _ = made(family)
    key, m, _ = at_keys(model)
    change = torch.randn(m.shape[1], len(m))
    assert written(model, module_map(model), 1, key, change) is change
