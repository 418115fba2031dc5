from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editharness.locate.spectrum import largest_singular, numeric_rank, thin_svd
from editharness.patch import Dense, LowRank
from editharness.patch.values import full

sizes = st.integers(1, 9)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 10**6), sizes, sizes, sizes)
def test_factors_have_the_decomposition_of_their_product(seed: int, rows: int, columns: int, rank: int) -> None:
    change = LowRank(normal(seed, rows, rank), normal(seed + 1, rank, columns))
    matrix = full(change, torch.zeros((), dtype=torch.float64))
    for form in (change, Dense(matrix)):
        u, s, vt = thin_svd(form)
        assert u.shape[1] == len(s) == vt.shape[0] <= min(rows, columns)
        torch.testing.assert_close((u * s) @ vt, matrix, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(u.mT @ u, torch.eye(len(s), dtype=torch.float64))
        torch.testing.assert_close(vt @ vt.mT, torch.eye(len(s), dtype=torch.float64))
        wanted = torch.linalg.svdvals(matrix)[: len(s)]
        torch.testing.assert_close(s, wanted, rtol=1e-9, atol=1e-9)


@given(st.integers(0, 10**6), sizes, sizes)
def test_the_largest_is_the_spectral_norm(seed: int, rows: int, columns: int) -> None:
    weight = normal(seed, rows, columns)
    assert largest_singular(weight) == pytest.approx(float(torch.linalg.matrix_norm(weight.double(), 2)), rel=1e-6)
    assert largest_singular(weight.mT) == pytest.approx(largest_singular(weight), rel=1e-12)


def test_rounding_has_no_rank() -> None:
    assert numeric_rank(torch.tensor([8.0, 1.0, 1e-5, 1e-9]), 64) == 2
    assert numeric_rank(torch.zeros(3), 64) == 0
    assert numeric_rank(torch.zeros(0), 64) == 0
