"""Running moments: any split into batches gives the moments of all rows at once."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editharness.locate.running import Running

SIZES = st.lists(st.integers(0, 5), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 0)


def rows(count: int, seed: int, size: int = 4) -> Tensor:
    return 3 + 2 * torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


@given(SIZES, st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_batches_join_to_the_moments_of_all_rows(sizes: list[int], seed: int) -> None:
    all_rows = rows(sum(sizes), seed)
    joined = Running.empty(4)
    for part in all_rows.split(sizes):
        joined = joined.add(part)
    exact = all_rows.double()
    assert joined.count == len(all_rows)
    torch.testing.assert_close(joined.mean, exact.mean(dim=0))
    torch.testing.assert_close(joined.deviation, exact.std(dim=0, correction=0))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_order_of_batches_does_not_matter(first: int, second: int, seed: int) -> None:
    a, b = Running.of(rows(first, seed)), Running.of(rows(second, seed + 1))
    one, other = a.merge(b), b.merge(a)
    torch.testing.assert_close(one.mean, other.mean)
    torch.testing.assert_close(one.m2, other.m2)


def test_a_batch_of_one_row_has_a_variance() -> None:
    """The published normalisers take the unbiased variance of one sample: NaN for good."""
    one = Running.of(rows(1, 0))
    assert one.deviation.tolist() == [0.0] * 4
    assert bool(one.add(rows(1, 1)).deviation.gt(0).all())


def test_a_feature_without_spread_does_not_explode() -> None:
    constant = torch.ones(5, 2)
    constant[:, 1] = torch.arange(5.0)
    running = Running.of(constant)
    assert running.normalise(torch.tensor([[1.0001, 2.0]])).tolist() == [[0.0, 0.0]]
    assert float(running.normalise(torch.tensor([[2.0, 2.0]]), floor=0.5)[0, 0]) == 2.0


def test_a_floor_per_feature() -> None:
    running = Running.of(torch.tensor([[0.0, 0.0], [2.0, 0.2]]))
    made = running.normalise(torch.tensor([[2.0, 0.2]]), floor=torch.tensor([0.1, 1.0], dtype=torch.float64))
    torch.testing.assert_close(made, torch.tensor([[1.0, 0.1]]))


def test_state_goes_on_exactly() -> None:
    first = Running.of(rows(3, 0))
    read = Running.from_state(first.to_state("gate"), "gate", 4)
    assert read.count == 3
    assert torch.equal(read.add(rows(2, 1)).m2, first.add(rows(2, 1)).m2)
    assert Running.from_state({}, "gate", 4).count == 0
