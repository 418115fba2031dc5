"""AlphaEdit: the change stays in the null space, earlier keys are protected, a null space of nothing is an error."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.methods.conftest import change, error

from editharness.errors import MethodError, UnknownNameError
from editharness.host import LocalHost
from editharness.locate.keys import block_outputs, keys
from editharness.locate.options import AlphaEditOptions
from editharness.models.load import weights_digest
from editharness.models.modules import to_math
from editharness.options import describe, resolve_options
from editharness.patch import apply
from editharness.presets import load_presets
from editharness_plugins.methods.alphaedit import AlphaEdit
from editharness_plugins.methods.families.places import PRESETS

QUICK: dict[str, Any] = {"steps": 5, "lr": 0.1, "templates": 0, "layers": (1,), "l2": 1e-3}
FAMILIES = ("llama", "gpt2", "gptj")


def halfway(host: LocalHost, layer: int = 1) -> float:
    """A threshold with half of the directions below it."""
    values = host.moments(layer).spectrum[0]
    return float(values[len(values) // 2])


def delta(host: LocalHost, patch: Any) -> torch.Tensor:
    return to_math(change(patch, host.modules.down_weight(1)), host.modules.transposed(1)).double()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_change_stays_in_the_null_space(tiny_host: Any, facts: Any, family: str) -> None:
    host = tiny_host(family)
    method = AlphaEdit(AlphaEditOptions(threshold=halfway(host), **QUICK))
    step = method.edit(host, facts, {})
    ours, basis = delta(host, step.patch), method.basis(host, 1)
    assert 0 < basis.shape[1] < basis.shape[0]
    assert error(ours @ basis @ basis.mT, ours.numpy()) < 1e-6
    values, vectors = host.moments(1).spectrum
    protected = vectors[:, values >= method.options.threshold]
    assert float((ours @ protected).norm()) < 1e-6 * float(ours.norm())
    assert {s.facts["rank.layer1"] for s in step.statuses} == {float(basis.shape[1])}
    assert weights_digest(host.model) == host.loaded.digest


@pytest.mark.parametrize("prior", [True, False])
def test_the_closed_form_in_full(tiny_host: Any, facts: Any, prior: bool) -> None:
    """(P (K Kᵀ + Kp Kpᵀ) + L2 I) Δᵀ = P K Rᵀ, the d_k-sized system that is never formed."""
    host = tiny_host("llama")
    method = AlphaEdit(AlphaEditOptions(threshold=halfway(host), prior=prior, **QUICK))
    first = method.edit(host, facts[:2], {})
    assert set(first.state) == ({"prior_keys.layer1"} if prior else set())
    assert first.patch is not None
    earlier = keys(host.model, host.modules, 1, host.encode(facts[:2], targets=False)).mT.double()
    with apply(host.model, first.patch):
        second = method.edit(host, facts[2:], first.state)
        k = keys(host.model, host.modules, 1, host.encode(facts[2:], targets=False)).mT.double()
        now = block_outputs(host.model, host.modules, 1, host.encode(facts[2:], targets=False))
        r = (method.values(host, facts[2:]).target - now).mT.double()
    basis = method.basis(host, 1)
    p = basis @ basis.mT
    kept = k @ k.mT + (earlier @ earlier.mT if prior else 0)
    system = p @ kept + method.options.l2 * torch.eye(len(p), dtype=torch.float64)
    ours = delta(host, second.patch)
    assert error(ours, torch.linalg.solve(system, p @ k @ r.mT).mT.numpy()) < 1e-4
    moved = float((ours @ earlier).norm() / (ours @ k).norm())
    assert moved < 0.1 if prior else moved > 0.1


@pytest.mark.parametrize("everything", [False, True])
def test_a_null_space_of_nothing_or_everything_is_one_clear_line(tiny_host: Any, facts: Any, everything: bool) -> None:
    host = tiny_host("llama")
    size = host.modules.key_size(1)
    # eigenvalues that are zero but for rounding may lie below zero: "nothing" is below the lowest
    threshold = 1e9 if everything else float(host.moments(1).spectrum[0][0])
    with pytest.raises(MethodError) as caught:
        AlphaEdit(AlphaEditOptions(threshold=threshold, **QUICK)).edit(host, facts, {})
    line = str(caught.value)
    assert line.startswith(f"layer 1: {size if everything else 0} of {size} directions")
    assert "set threshold" in line
    assert "\n" not in line
    assert weights_digest(host.model) == host.loaded.digest


def test_the_weight_of_the_second_moments_is_no_option() -> None:
    assert "covariance_weight" not in {info.name for info in describe(AlphaEditOptions)}
    with pytest.raises(UnknownNameError, match="covariance_weight"):
        resolve_options(AlphaEditOptions, {}, {"covariance_weight": "1"})


def test_presets_fit_their_options() -> None:
    found = load_presets(PRESETS / "alphaedit.yaml")
    assert {"paper", "sand", "easyedit", "encore", "namet", "pocket"} == {preset.name for preset in found}
    for preset in found:
        options = resolve_options(AlphaEditOptions, preset.values, {})
        assert options.prior
        assert options.threshold == 0.02 or preset.name == "pocket"
