from __future__ import annotations

import pytest
import torch

from editharness.export.lowrank import factored, numeric_rank, smaller
from editharness.patch import Dense, LowRank


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_small_factors_stay_as_they_are() -> None:
    delta = LowRank(draw(20, 3), draw(3, 30, seed=1))
    made = factored(delta)
    assert torch.equal(made.a, delta.a)
    assert torch.equal(made.b, delta.b)
    assert (made.rank, made.kept, made.lost, made.whole) == (3, 3, 0.0, True)
    assert made.norm == pytest.approx(float((delta.a @ delta.b).norm()))


def test_a_full_matrix_of_low_rank_is_held_by_as_many_directions() -> None:
    full = draw(20, 3) @ draw(3, 30, seed=1)
    made = factored(Dense(full))
    assert (made.rank, made.kept, made.lost) == (3, 3, 0.0)
    torch.testing.assert_close(made.a @ made.b, full)


def test_more_factors_than_the_matrix_has_rows_are_brought_down() -> None:
    delta = LowRank(draw(8, 40), draw(40, 30, seed=1))
    made = factored(delta)
    assert made.kept == 8
    torch.testing.assert_close(made.a @ made.b, delta.a @ delta.b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("dense", [True, False], ids=["dense", "factors"])
def test_what_is_cut_is_the_best_of_its_rank_and_the_error_is_right(dense: bool) -> None:
    a, b = draw(20, 6), draw(6, 30, seed=1)
    full = a @ b
    made = factored(Dense(full) if dense else LowRank(a, b), 2)
    sigma = torch.linalg.svdvals(full.double())
    assert made.kept == 2
    assert not made.whole
    assert made.lost == pytest.approx(float(sigma[2:].norm()), rel=1e-5)
    assert float((full - made.a @ made.b).norm()) == pytest.approx(made.lost, rel=1e-4)
    assert made.norm == pytest.approx(float(full.norm()), rel=1e-5)


def test_a_delta_of_nothing_has_one_direction_of_nothing() -> None:
    made = factored(Dense(torch.zeros(4, 5)))
    assert made.kept == 1
    assert not (made.a @ made.b).any()
    assert made.lost == 0.0


def test_rank_and_size() -> None:
    assert numeric_rank(torch.tensor([1.0, 1e-3, 1e-9]), 10) == 2
    assert smaller(5, 128, 640)
    assert not smaller(107, 128, 640)
