"""The identities that tie the locate-then-edit family together, over random systems in fp64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from editharness.locate.prior import PriorKeys
from editharness.locate.solve import Factored, Outside, Scaled, Space, Subspace, rank_one, solve, spread
from editharness.patch import LowRank

DEAR = settings(max_examples=25, deadline=None)


class System:
    """A random problem: C positive definite, keys of this batch and of earlier ones, residuals."""

    def __init__(self, seed: int, key_size: int, hidden: int, edits: int, earlier: int) -> None:
        made = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=made, dtype=torch.float64)

        samples = normal(key_size, 3 * key_size)
        self.c = samples @ samples.mT / samples.shape[1]
        self.k, self.r, self.earlier = normal(key_size, edits), normal(hidden, edits), normal(key_size, earlier)
        self.eye = torch.eye(key_size, dtype=torch.float64)

    def factored(self, weight: float) -> Factored:
        return Factored(torch.linalg.cholesky(self.c), weight)

    def prior(self) -> PriorKeys:
        return PriorKeys.empty(len(self.k)).append(self.earlier)


systems = st.builds(
    System, st.integers(0, 10**6), st.integers(6, 20), st.integers(2, 7), st.integers(1, 5), st.integers(1, 5)
)
weights = st.floats(0.01, 1000)
ridges = st.floats(0.01, 10)


def full(change: LowRank) -> Tensor:
    return change.a.double() @ change.b.double()


def close(ours: Tensor, wanted: Tensor, tolerance: float = 2e-5) -> None:
    # factors come back in fp32, so what is compared carries its rounding
    assert (ours - wanted).norm() <= tolerance * max(float(wanted.norm()), 1e-9)


@DEAR
@given(systems, weights)
def test_ridge_one_is_memit(s: System, weight: float) -> None:
    wanted = torch.linalg.solve(weight * s.c + s.k @ s.k.mT, s.k) @ s.r.mT
    close(full(solve(s.factored(weight), s.k, s.r)), wanted.mT)


@DEAR
@given(systems, weights, ridges)
def test_a_ridge_is_a_scaled_preservation_matrix(s: System, weight: float, ridge: float) -> None:
    close(
        full(solve(s.factored(weight), s.k, s.r, ridge=ridge)), full(solve(s.factored(weight * ridge), s.k, s.r)), 1e-4
    )


@DEAR
@given(systems, weights)
def test_no_ridge_meets_every_constraint(s: System, weight: float) -> None:
    close(full(solve(s.factored(weight), s.k, s.r, ridge=0.0)) @ s.k, s.r, 1e-3)


@DEAR
@given(systems)
def test_one_edit_without_ridge_is_rome(s: System) -> None:
    k, r = s.k[:, :1], s.r[:, :1]
    wanted = rank_one(torch.linalg.solve(s.c, k)[:, 0], k[:, 0], r[:, 0])
    close(full(solve(s.factored(1.0), k, r, ridge=0.0)), full(wanted))
    close(full(wanted) @ k, r)


@DEAR
@given(systems, weights, ridges)
def test_prior_keys_add_their_gram_matrix(s: System, weight: float, ridge: float) -> None:
    kept = weight * s.c + s.earlier @ s.earlier.mT
    y = torch.linalg.solve(kept, s.k)
    wanted = y @ torch.linalg.solve(s.k.mT @ y + ridge * torch.eye(s.k.shape[1], dtype=torch.float64), s.r.mT)
    close(full(solve(s.factored(weight), s.k, s.r, ridge=ridge, prior=s.prior())), wanted.mT, 1e-4)


@DEAR
@given(systems, weights, ridges)
def test_prior_keys_and_their_gram_form_agree(s: System, weight: float, ridge: float) -> None:
    keys = s.prior()
    gram = PriorKeys(torch.zeros(len(s.k), 0), keys.keys.double() @ keys.keys.double().mT, keys.count)
    for space in (s.factored(weight), Scaled(weight), null(s, weight)):
        ours = solve(space, s.k, s.r, ridge=ridge, prior=keys)
        close(full(ours), full(solve(space, s.k, s.r, ridge=ridge, prior=gram)), 1e-4)


@DEAR
@given(systems, weights)
def test_null_space_form_is_alphaedits(s: System, l2: float) -> None:
    space = null(s, l2)
    p = space.basis @ space.basis.mT
    system = p @ (s.k @ s.k.mT + s.earlier @ s.earlier.mT) + l2 * s.eye
    wanted = torch.linalg.solve(system, p @ s.k @ s.r.mT).mT
    ours = full(solve(space, s.k, s.r, prior=s.prior()))
    close(ours, wanted, 1e-4)
    close(ours @ p, ours)


@DEAR
@given(systems, weights)
def test_the_whole_space_is_ridge_regression(s: System, l2: float) -> None:
    wanted = torch.linalg.solve(s.k @ s.k.mT + l2 * s.eye, s.k @ s.r.mT).mT
    close(full(solve(Scaled(l2), s.k, s.r)), wanted)
    close(full(solve(Subspace(s.eye, l2), s.k, s.r)), wanted)


@DEAR
@given(systems)
def test_equal_keys_without_ridge_do_not_crash(s: System) -> None:
    k, r = torch.cat([s.k, s.k[:, :1]], dim=1), torch.cat([s.r, s.r[:, :1]], dim=1)
    close(full(solve(s.factored(1.0), k, r, ridge=0.0)) @ k, r, 1e-3)


@pytest.mark.parametrize("weight", [1e-9, 1e-6])
def test_with_a_small_weight_the_last_layer_leaves_nothing(weight: float) -> None:
    s = System(1, 16, 5, 3, 1)
    close(full(solve(s.factored(weight), s.k, s.r)) @ s.k, s.r, 1e-4)


def test_linear_spread_takes_the_share_and_the_last_layer_all() -> None:
    residual = torch.ones(2, 3)
    assert torch.equal(spread(residual, 4), residual / 4)
    assert torch.equal(spread(residual, 1), residual)


def null(s: System, weight: float) -> Subspace:
    values, vectors = torch.linalg.eigh(s.c)
    return Subspace(vectors[:, : max(2, len(values) // 2)], weight)


@DEAR
@given(systems, weights)
def test_a_space_by_the_directions_outside_it_is_the_same_space(s: System, l2: float) -> None:
    _, vectors = torch.linalg.eigh(s.c)
    rank = max(1, len(vectors) // 2)
    inside, outside = Subspace(vectors[:, :rank], l2), Outside(vectors[:, rank:], l2)
    for prior in (None, s.prior()):
        ours = full(solve(outside, s.k, s.r, prior=prior))
        close(ours, full(solve(inside, s.k, s.r, prior=prior)), 1e-4)


def test_spaces_are_inverse_square_roots() -> None:
    s = System(3, 8, 2, 2, 1)
    spaces: list[tuple[Space, Tensor]] = [(s.factored(3.0), 3 * s.c), (Scaled(2.0), 2 * s.eye)]
    for space, matrix in spaces:
        close(space.back(space.whiten(s.k)), torch.linalg.solve(matrix, s.k))
