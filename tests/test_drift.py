"""Distance between two distributions of the next word."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editharness.drift import LIKELIEST, Before


def logp(seed: int, size: int, sharp: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharp * torch.randn(size, generator=generator)).log_softmax(dim=0)


@given(st.integers(0, 99), st.integers(2, LIKELIEST), st.floats(0.1, 5))
def test_within_the_kept_tokens_it_is_the_exact_distance(seed: int, size: int, sharp: float) -> None:
    p, q = logp(seed, size, sharp), logp(seed + 100, size, sharp)
    kl, moved = Before.of(p).apart(q)
    assert kl == pytest.approx(float((p.exp() * (p - q)).sum()), abs=1e-4)
    assert moved == pytest.approx(float((p.exp() - q.exp()).abs().sum() / 2), abs=1e-5)
    assert 0 <= moved <= 1


@given(st.integers(0, 20), st.floats(0.1, 3))
def test_beyond_them_it_is_never_more(seed: int, sharp: float) -> None:
    p, q = logp(seed, 3 * LIKELIEST, sharp), logp(seed + 100, 3 * LIKELIEST, sharp)
    kl, moved = Before.of(p).apart(q)
    assert kl <= float((p.exp() * (p - q)).sum()) + 1e-4
    assert moved <= float((p.exp() - q.exp()).abs().sum() / 2) + 1e-5


def test_the_same_distribution_has_not_moved() -> None:
    p = logp(0, 50, 1.0)
    assert Before.of(p).apart(p) == (0.0, 0.0)
