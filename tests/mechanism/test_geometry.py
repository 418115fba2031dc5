"""Distances against plain formulas, and values that make a model say the target."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from editharness.data.negated import negated_case
from editharness.errors import DataError
from editharness.host import LocalHost
from editharness.locate.keys import block_outputs, mlp_outputs
from editharness.locate.options import MemitOptions
from editharness.mechanism.geometry import Points, distances, projections, target_values
from editharness.models.load import load_model
from editharness.testing.tiny import save_tiny
from editharness.types import Case, Edit


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    return LocalHost(load_model(str(save_tiny("gpt2", tmp_path_factory.mktemp("model"))), device="cpu"), seed=0)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    made = [Case(name, f"The capital of {name} is", (15, 15 + len(name)), "Rome") for name in ("Kenya", "Peru", "Fiji")]
    return [case for case in map(negated_case, made) if case is not None]


def points(count: int = 6) -> Points:
    generator = torch.Generator().manual_seed(0)
    old, new = (torch.randn(count, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    names = tuple(str(i) for i in range(count))
    return Points(names, names, old, new, new + 1e-3)


def test_distances_are_the_plain_ones() -> None:
    given = points()
    found = {(d.pair, d.measure): d.mean for d in distances(given)}
    count = len(given.cases)
    assert found["m0, m1", "L2"].value == pytest.approx(sum(float((a - b).norm()) for a, b in zip(given.old, given.new, strict=True)) / count)  # fmt: skip # noqa: E501
    cosines = [float(a @ b / a.norm() / b.norm()) for a, b in zip(given.old, given.negated, strict=True)]
    assert found["m0, m2", "cosine"].value == pytest.approx(sum(cosines) / count)
    others = [float((given.new[i] - given.new[j]).norm()) for i in range(count) for j in range(count) if i != j]
    assert found["m1, m1 of another case", "L2"].value == pytest.approx(sum(others) / len(others))
    assert found["m1, m2", "m2 is m1's nearest point"].value == 1.0
    assert all(mean.low <= mean.value <= mean.high and mean.n == count for mean in found.values())


def test_pairs_that_are_none_are_not_found() -> None:
    given = points()
    mixed = replace(given, negated=given.negated.roll(1, dims=0))
    (nearest,) = [d.mean.value for d in distances(mixed) if "nearest" in d.measure]
    assert nearest == 0.0


@pytest.mark.slow
def test_projections_are_seeded_and_small_sets_have_one() -> None:
    assert projections(points(), 0) == projections(points(), 0)
    pca, tsne = projections(points(2), 0)
    assert len(pca.points) == len(tsne.points) == 6
    assert sum(pca.shares) <= 1 + 1e-9


def test_values_stand_where_the_paper_puts_them(host: LocalHost, cases: list[Case]) -> None:
    options = MemitOptions(steps=8)
    by_mlp = target_values(host, cases, 1, ("{}",), options, "mlp")
    by_block = target_values(host, cases, 1, ("{}",), options, "block")
    bare = host.encode([Edit(c.id, c.prompt, c.subject, c.target) for c in cases], targets=False)
    assert torch.equal(by_mlp.old, mlp_outputs(host.model, host.modules, 1, bare).double())
    assert torch.equal(by_block.old, block_outputs(host.model, host.modules, 1, bare).double())
    # the same shifts on both sites, and no shift of nothing
    for one, other in ((by_mlp.new, by_block.new), (by_mlp.negated, by_block.negated)):
        assert torch.allclose(one - by_mlp.old, other - by_block.old, atol=1e-5)
        assert (one - by_mlp.old).norm(dim=1).min() > 0.1
    assert by_mlp.failed == 0
    assert by_mlp.losses[0] > 0


def test_distances_need_two_cases(host: LocalHost, cases: list[Case]) -> None:
    with pytest.raises(DataError, match="1 of 1 cases have both values: distances between cases need two"):
        target_values(host, cases[:1], 1, ("{}",), MemitOptions(steps=2), "mlp")
