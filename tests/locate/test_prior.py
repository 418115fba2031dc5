from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.locate.prior import PriorKeys


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.integers(4, 12))
def test_appending_keeps_every_key_or_their_gram_matrix(batches: list[int], size: int) -> None:
    made = torch.Generator().manual_seed(sum(batches))
    keys = [torch.randn(size, n, generator=made) for n in batches]
    prior = PriorKeys.empty(size)
    for batch in keys:
        prior = prior.append(batch)
    everything = torch.cat(keys, dim=1)
    assert prior.count == everything.shape[1]
    if prior.count < size:
        assert torch.equal(prior.keys, everything)
    else:
        assert prior.keys.shape == (size, 0)
        gram = everything.double() @ everything.double().mT
        torch.testing.assert_close(prior.gram, gram, rtol=1e-10, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 9), st.integers(0, 3))
def test_state_round_trip(count: int, layer: int) -> None:
    prior = PriorKeys.empty(5).append(torch.randn(5, count))
    state = {"something": torch.ones(1), **prior.to_state(layer)}
    back = PriorKeys.from_state(state, layer, 5)
    assert back.count == count
    assert torch.equal(back.keys, prior.keys)
    assert (back.gram is None) == (prior.gram is None) == (count < 5)
    if prior.gram is not None and back.gram is not None:
        assert torch.equal(back.gram, prior.gram)


def test_a_state_without_this_layer_is_empty() -> None:
    state = PriorKeys.empty(4).append(torch.ones(4, 2)).to_state(1)
    assert set(state) == {"prior_keys.layer1"}
    assert PriorKeys.from_state(state, 2, 4).count == 0
