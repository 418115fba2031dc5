from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.errors import MethodError
from editharness.patch import Dense, LowRank, ModulePatch, RouterPatch, WeightPatch, join, nbytes
from editharness.patch.values import full

LIKE = torch.zeros((), dtype=torch.float64)


def delta(rank: int | None, seed: int, shape: tuple[int, int] = (6, 9)) -> LowRank | Dense:
    draw = torch.Generator().manual_seed(seed)
    if rank is None:
        return Dense(torch.randn(shape, generator=draw, dtype=torch.float64))
    a = torch.randn(shape[0], rank, generator=draw, dtype=torch.float64)
    return LowRank(a, torch.randn(rank, shape[1], generator=draw, dtype=torch.float64))


@settings(deadline=None)
@given(ranks=st.lists(st.one_of(st.none(), st.integers(0, 4)), min_size=1, max_size=5))
def test_joining_adds_whatever_the_forms(ranks: list[int | None]) -> None:
    deltas = [delta(rank, seed) for seed, rank in enumerate(ranks)]
    total = WeightPatch({"w": deltas[0]})
    for one in deltas[1:]:
        joined = join(total, WeightPatch({"w": one}))
        assert isinstance(joined, WeightPatch)
        total = joined
    torch.testing.assert_close(full(total.deltas["w"], LIKE), sum(full(one, LIKE) for one in deltas))


def test_factors_are_joined_until_the_matrix_is_smaller() -> None:
    total = WeightPatch({"w": delta(1, 0)})
    sizes = []
    for seed in range(1, 20):
        joined = join(total, WeightPatch({"w": delta(1, seed)}))
        assert isinstance(joined, WeightPatch)
        total = joined
        sizes.append(nbytes(total))
    assert max(sizes) <= 6 * 9 * 8
    assert isinstance(total.deltas["w"], Dense)


def test_names_of_both_patches_stay() -> None:
    joined = join(WeightPatch({"a": delta(1, 0), "b": delta(1, 1)}), WeightPatch({"b": delta(1, 2), "c": delta(1, 3)}))
    assert isinstance(joined, WeightPatch)
    assert list(joined.deltas) == ["a", "b", "c"]


def test_later_modules_and_routers_replace() -> None:
    assert join(ModulePatch({}), later := ModulePatch({})) is later
    router = RouterPatch(None)  # type: ignore[arg-type]
    assert join(RouterPatch(None), router) is router  # type: ignore[arg-type]


def test_patches_that_do_not_fit() -> None:
    with pytest.raises(MethodError, match="a ModulePatch cannot be joined to a WeightPatch"):
        join(WeightPatch({}), ModulePatch({}))
    with pytest.raises(MethodError, match=r"deltas for w have shapes \(6, 9\) and \(9, 6\)"):
        join(WeightPatch({"w": delta(1, 0)}), WeightPatch({"w": delta(1, 0, (9, 6))}))


def test_bytes_are_those_of_the_tensors() -> None:
    assert nbytes(WeightPatch({"w": LowRank(torch.zeros(3, 2), torch.zeros(2, 5).half())})) == 6 * 4 + 10 * 2
    assert nbytes(WeightPatch({"w": Dense(torch.zeros(3, 5))})) == 60
