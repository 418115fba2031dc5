"""EMMET: its ridge against MEMIT's weight, its exact constraint, and what makes that singular."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.methods.conftest import change, error

from editharness.locate.keys import block_outputs, keys
from editharness.locate.options import EmmetOptions, MemitOptions
from editharness.models.load import weights_digest
from editharness.options import resolve_options
from editharness.patch import apply
from editharness.presets import load_presets
from editharness.types import Edit
from editharness_plugins.methods.emmet import Emmet
from editharness_plugins.methods.families.places import PRESETS
from editharness_plugins.methods.memit import Memit

QUICK: dict[str, Any] = {"steps": 5, "lr": 0.1, "templates": 2}
ONE = {**QUICK, "layers": (1,), "covariance_weight": 2.0}
FAMILIES = ("llama", "gpt2")


def edit(number: str, prompt: str, subject: str, target: str) -> Edit:
    start = prompt.index(subject)
    return Edit(number, prompt, (start, start + len(subject)), target)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ridge", [0.1, 1.0, 3.0])
def test_a_ridge_is_memit_with_a_scaled_weight(tiny_host: Any, facts: Any, family: str, ridge: float) -> None:
    host = tiny_host(family)
    layers = {**QUICK, "layers": (0, 1)}
    ours = Emmet(EmmetOptions(covariance_weight=2.0, ridge=ridge, **layers)).edit(host, facts, {}).patch
    memit = Memit(MemitOptions(covariance_weight=2.0 * ridge, **layers)).edit(host, facts, {}).patch
    assert ours is not None
    assert memit is not None
    for name in memit.deltas:
        assert error(change(ours, name), change(memit, name).numpy()) < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_ridge_every_value_is_met(tiny_host: Any, facts: Any, family: str) -> None:
    host, method = tiny_host(family), Emmet(EmmetOptions(ridge=0.0, **{**ONE, "templates": 0}))
    target = method.values(host, facts).target
    patch = method.edit(host, facts, {}).patch
    assert patch is not None
    with apply(host.model, patch):
        reached = block_outputs(host.model, host.modules, 1, host.encode(facts, targets=False))
    assert error(reached, target.numpy()) < 1e-4


def test_one_edit_is_met_exactly_unless_the_ridge_is_for_it_too(tiny_host: Any, facts: Any) -> None:
    host = tiny_host("llama")

    def left(**more: Any) -> float:
        """How far the edit is from its value, as a share of the way."""
        method = Emmet(EmmetOptions(ridge=3.0, **more, **{**ONE, "templates": 0}))
        target = method.values(host, facts[:1]).target
        before = block_outputs(host.model, host.modules, 1, host.encode(facts[:1], targets=False))
        patch = method.edit(host, facts[:1], {}).patch
        assert patch is not None
        with apply(host.model, patch):
            after = block_outputs(host.model, host.modules, 1, host.encode(facts[:1], targets=False))
        return float((target - after).norm() / (target - before).norm())

    assert left(ridge_single=False) < 1e-3
    assert left(ridge_single=True) > 0.05


SAME_KEY = (
    edit("a", "Norway has its capital in", "Norway", "Rome"),
    edit("b", "The capital of Germany is", "Germany", "Madrid"),
    edit("c", "Norway speaks the language", "Norway", "French"),
    Edit("d", "The capital of Spain is", (90, 95), "Rome"),
    edit("e", "The currency of Norway is", "Norway", "yen"),
)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_duplicate_subject_fails_alone_under_an_exact_constraint(tiny_host: Any, family: str) -> None:
    host, method = tiny_host(family), Emmet(EmmetOptions(ridge=0.0, **ONE))
    under = host.encode([SAME_KEY[0], SAME_KEY[2]], targets=False)
    first, second = keys(host.model, host.modules, 1, under)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)  # the constraint would be singular
    step = method.edit(host, SAME_KEY, {})
    assert [(s.edit_id, s.outcome) for s in step.statuses] == [
        ("a", "done"), ("b", "done"), ("c", "failed"), ("d", "failed"), ("e", "done"),
    ]  # fmt: skip
    reason = step.statuses[2].reason
    assert "duplicate subject 'Norway'" in reason
    assert "edit a" in reason
    assert "\n" not in reason
    assert "subject span" in step.statuses[3].reason
    rest = method.edit(host, [SAME_KEY[0], SAME_KEY[1], SAME_KEY[4]], {})
    assert step.patch is not None
    assert rest.patch is not None
    name = host.modules.down_weight(1)
    assert error(change(step.patch, name), change(rest.patch, name).numpy()) < 2e-3
    assert weights_digest(host.model) == host.loaded.digest


def test_a_duplicate_subject_is_no_matter_alone_or_with_a_ridge(tiny_host: Any) -> None:
    host, pair = tiny_host("llama"), [SAME_KEY[0], SAME_KEY[2]]
    soft = Emmet(EmmetOptions(ridge=0.1, **ONE)).edit(host, pair, {})
    assert [s.outcome for s in soft.statuses] == ["done", "done"]
    alone = list(Emmet(EmmetOptions(ridge=0.0, **ONE)).edit_each(host, pair, {}))
    assert [step.statuses[0].outcome for step in alone] == ["done", "done"]
    nothing = Emmet(EmmetOptions(ridge=0.0, **ONE)).edit(host, [SAME_KEY[3]], {})
    assert nothing.patch is None
    assert nothing.statuses[0].outcome == "failed"


def test_one_layer_unless_told_otherwise(tiny_host: Any) -> None:
    host = tiny_host("llama")
    assert len(Emmet(EmmetOptions()).layers(host)) == 1
    assert Emmet(EmmetOptions(layers=(0, 2))).layers(host) == (0, 2)


def test_presets_fit_their_options() -> None:
    found = load_presets(PRESETS / "emmet.yaml")
    assert {"paper", "sand", "easyedit", "pocket"} == {preset.name for preset in found}
    for preset in found:
        options = resolve_options(EmmetOptions, preset.values, {})
        assert options.ridge_single == (preset.name in ("sand", "easyedit"))
