"""PMET over tiny models: the spread and the values that it reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editharness.host import LocalHost
from editharness.locate.keys import mlp_outputs
from editharness.locate.options import PmetOptions
from editharness.models.load import load_model
from editharness.options import resolve_options
from editharness.patch import apply
from editharness.presets import load_presets
from editharness.testing.tiny import TEXT, save_tiny
from editharness.types import Edit
from editharness_plugins.methods import pmet as pmet_module
from editharness_plugins.methods.pmet import Pmet

FACTS = (
    ("The Eiffel Tower is located in the city of", "Eiffel Tower", "Rome"),
    ("The official language of Norway is", "Norway", "French"),
)
EDITS = [
    Edit(str(i), prompt, (prompt.index(subject), prompt.index(subject) + len(subject)), target)
    for i, (prompt, subject, target) in enumerate(FACTS)
]
QUICK: dict[str, Any] = {"steps": 5, "lr": 0.1, "layers": (0, 1)}


@pytest.fixture(scope="module", params=["llama", "gpt2", "gptj"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    folder = save_tiny(request.param, tmp_path_factory.mktemp(request.param))
    return LocalHost(load_model(str(folder), device="cpu"), seed=0, texts=TEXT * 3)


@pytest.mark.parametrize("spread", ["sqrt", "linear"])
def test_a_small_weight_reaches_the_values_at_the_mlps_output(host: LocalHost, spread: Any) -> None:
    method = Pmet(PmetOptions(templates=0, covariance_weight=1e-6, spread=spread, **QUICK))
    values = method.values(host, EDITS)
    patch = method.edit(host, EDITS, {}).patch
    assert patch is not None
    with apply(host.model, patch):
        reached = mlp_outputs(host.model, host.modules, 1, host.encode(EDITS, targets=False))
    assert float((reached - values.target).norm()) < 2e-2 * float(values.target.norm())


@given(st.integers(1, 30))
def test_the_spread(remaining: int) -> None:
    missing = torch.ones(3, 2)
    root, linear = (Pmet(PmetOptions(spread=spread)).share(missing, remaining) for spread in ("sqrt", "linear"))
    torch.testing.assert_close(root**2, linear)
    torch.testing.assert_close(linear * remaining, missing)


def test_presets_fit_their_options() -> None:
    found = load_presets(Path(pmet_module.__file__).parent / "presets" / "pmet.yaml")
    assert {"paper", "easyedit", "sand", "namet", "pocket", "evaluation"} == {preset.name for preset in found}
    for preset in found:
        options = resolve_options(PmetOptions, preset.values, {})
        assert options.spread == ("linear" if preset.name == "sand" else "sqrt")
        assert options.schedule == (preset.name != "sand")
        assert options.bound == ("block" if preset.name in ("sand", "pocket") else "own")
