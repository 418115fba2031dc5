"""PRUNE: the curve on the singular values, and which base and which moment it is for."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.conftest import change, error

from editharness.locate.options import MemitOptions, PruneOptions
from editharness.locate.spectrum import largest_singular
from editharness.models.load import weights_digest
from editharness.options import resolve_options
from editharness.patch import Dense, LowRank, WeightPatch, apply, join
from editharness.patch.values import full
from editharness.presets import load_presets
from editharness_plugins.methods.families.places import PRESETS
from editharness_plugins.methods.memit import Memit
from editharness_plugins.methods.prune import Prune, restrained

WIDE = torch.zeros((), dtype=torch.float64)
# large steps towards far values, so that there is something to restrain
QUICK: dict[str, Any] = {
    "steps": 8, "lr": 2.0, "clamp": 10.0, "templates": 0, "layers": (0, 1), "covariance_weight": 1e-6
}  # fmt: skip


def factors(seed: int, singular: list[float], rows: int = 9, columns: int = 14) -> LowRank:
    """A change with these singular values."""
    made = torch.Generator().manual_seed(seed)
    count = len(singular)
    u = torch.linalg.qr(torch.randn(rows, count, generator=made, dtype=torch.float64)).Q
    v = torch.linalg.qr(torch.randn(columns, count, generator=made, dtype=torch.float64)).Q
    return LowRank(u * torch.tensor(singular, dtype=torch.float64), v.mT)


def singular(delta: LowRank | Dense, count: int) -> torch.Tensor:
    return torch.linalg.svdvals(full(delta, WIDE))[:count]


limits = st.floats(0.5, 3)
bases = st.one_of(st.none(), st.floats(1.05, 10))
spectra = st.lists(st.floats(0.01, 20), min_size=1, max_size=6)


@given(st.integers(0, 10**6), spectra, limits, bases)
def test_large_singular_values_follow_the_curve_and_small_ones_stay(
    seed: int, spectrum: list[float], limit: float, base: float | None
) -> None:
    def curve(s: float) -> float:
        if s < limit:
            return s
        return (s + limit) / 2 if base is None else math.log(s, base) - math.log(limit, base) + limit

    wanted = sorted((curve(s) for s in spectrum), reverse=True)
    for form in (factors(seed, spectrum), Dense(full(factors(seed, spectrum), WIDE))):
        ours = singular(restrained(form, limit, base), len(spectrum))
        assert ours.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


@given(st.integers(0, 10**6), limits, bases)
def test_continuous_at_the_limit(seed: int, limit: float, base: float | None) -> None:
    near = factors(seed, [limit * (1 + 1e-7), limit / 2])
    pulled = restrained(near, limit, base)
    assert pulled is not near
    torch.testing.assert_close(full(pulled, WIDE), full(near, WIDE), rtol=1e-5, atol=2e-6)


@given(st.integers(0, 10**6), spectra, bases)
def test_below_the_limit_it_is_the_change_itself(seed: int, spectrum: list[float], base: float | None) -> None:
    form = factors(seed, spectrum)
    assert restrained(form, max(spectrum) * 1.01, base) is form


@given(st.integers(0, 10**6), st.lists(st.floats(0.01, 20), min_size=2, max_size=6, unique=True), limits, bases)
def test_singular_vectors_stay(seed: int, spectrum: list[float], limit: float, base: float | None) -> None:
    """ΔΣ and its restrained form have a common SVD: Uᵀ Δ' V is diagonal for the U and V of Δ."""
    form = factors(seed, spectrum)
    u = form.a / form.a.norm(dim=0)
    inside = u.mT @ full(restrained(form, limit, base), WIDE) @ form.b.mT
    off = inside - inside.diagonal().diag()
    assert float(off.abs().max()) < 1e-5 * float(inside.abs().max())
    assert float(inside.diagonal().min()) > 0


def test_a_smaller_base_is_milder() -> None:
    form = factors(1, [10.0])
    tops = [float(singular(restrained(form, 2.0, base), 1)[0]) for base in (2.0, 1.5, 1.2)]
    assert 2.0 < tops[0] < tops[1] < tops[2]


def test_no_change_stays_no_change() -> None:
    none = LowRank(torch.zeros(4, 2), torch.zeros(2, 5))
    assert restrained(none, 0.0, math.e) is none


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("curve", ["log", "linear"])
def test_the_view_restrains_the_sum_against_the_unedited_weight(
    tiny_host: Any, facts: Any, family: str, curve: Any
) -> None:
    host, method = tiny_host(family), Prune(PruneOptions(curve=curve, **QUICK))
    first = method.edit(host, facts[:2], {})
    assert first.patch is not None
    with apply(host.model, first.patch, host.masters):
        second = method.edit(host, facts[2:], first.state)
        assert second.patch is not None
        total = join(first.patch, second.patch)
        assert isinstance(total, WeightPatch)
        edited = method.view(host, total)
    viewed = method.view(host, total)
    assert isinstance(viewed, WeightPatch)
    assert isinstance(edited, WeightPatch)
    for name in total.deltas:
        limit = float(torch.linalg.matrix_norm(host.original(name).double(), 2))
        wanted = restrained(total.deltas[name], limit, math.e if curve == "log" else None)
        assert float(singular(total.deltas[name], 1)[0]) > limit  # there is something to restrain
        assert error(change(viewed, name), full(wanted, torch.zeros(())).numpy()) < 1e-5
        assert torch.equal(change(edited, name), change(viewed, name))  # σ0 is the unedited weight's at any moment
    assert weights_digest(host.model) == host.loaded.digest


def test_at_the_end_of_a_sequence_nothing_is_carried_on(tiny_host: Any, facts: Any) -> None:
    host = tiny_host("llama")
    ours = Prune(PruneOptions(**QUICK)).edit(host, facts, {})
    memit = Memit(MemitOptions(**QUICK)).edit(host, facts, {})
    assert ours.patch is not None
    assert memit.patch is not None
    for name in memit.patch.deltas:
        assert torch.equal(change(ours.patch, name), change(memit.patch, name))


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_per_batch_is_against_the_weight_as_it_now_is(tiny_host: Any, facts: Any, family: str) -> None:
    host, method = tiny_host(family), Prune(PruneOptions(scope="per_batch", prior=False, **{**QUICK, "layers": (1,)}))
    name = host.modules.down_weight(1)
    with apply(host.model, WeightPatch({name: Dense(-0.5 * host.original(name))})):
        limit = largest_singular(host.model.get_parameter(name))
        step = method.edit(host, facts, {})
        memit = Memit(MemitOptions(prior=False, **{**QUICK, "layers": (1,)})).edit(host, facts, {})
    assert limit == pytest.approx(0.5 * largest_singular(host.original(name)), rel=1e-5)
    assert step.patch is not None
    assert memit.patch is not None
    whole = Dense(change(memit.patch, name))
    assert float(singular(whole, 1)[0]) > limit
    wanted = restrained(whole, limit, math.e)
    assert error(change(step.patch, name), full(wanted, torch.zeros(())).numpy()) < 1e-4
    assert method.view(host, step.patch) is step.patch


def test_presets_fit_their_options() -> None:
    found = load_presets(PRESETS / "prune.yaml")
    assert {"paper", "sand", "alphaedit", "encore", "pocket"} == {preset.name for preset in found}
    for preset in found:
        options = resolve_options(PruneOptions, preset.values, {})
        assert options.scope == ("per_batch" if preset.name == "sand" else "sequence_end")
        assert (options.curve, options.base) == ("log", math.e)
