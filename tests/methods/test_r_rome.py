"""R-ROME is ROME with one key: C-ROME's formula with the mean, the prompt's key alone for p-ROME."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.methods.conftest import change

from editharness.errors import OptionError
from editharness.locate.keys import keys
from editharness.locate.options import CRomeOptions, RRomeOptions
from editharness.models.modules import to_math
from editharness.options import resolve_options
from editharness.presets import load_presets
from editharness_plugins.methods.c_rome import CRome
from editharness_plugins.methods.families.places import PRESETS
from editharness_plugins.methods.r_rome import RRome

QUICK: dict[str, Any] = {"steps": 5, "lr": 0.1, "layer": 1, "templates": 3}


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("mode", ["mean", "bare"])
def test_the_constraint_holds_at_its_one_key(tiny_host: Any, facts: Any, family: str, mode: Any) -> None:
    host, method = tiny_host(family), RRome(RRomeOptions(key_mode=mode, **QUICK))
    value = method.values(host, facts[:1]).target[0]
    patch = method.edit(host, facts[:1], {}).patch
    assert patch is not None
    delta = to_math(change(patch, host.modules.down_weight(1)), host.modules.transposed(1))
    contexts = method.contexts(host) if mode == "mean" else ("{}",)
    held = keys(host.model, host.modules, 1, host.encode(facts[:1], contexts, targets=False), "flat")[0]
    output = host.model.get_submodule(host.modules.down_projection(1))(held)
    torch.testing.assert_close(delta @ held, value - output, rtol=1e-3, atol=1e-4)
    # one key in both places: Δ is a multiple of uᵀ for the u of that very key, so a key with uᵀk' = 0 is left alone
    direction = method.inverse(host, 1, held)
    other = torch.randn(len(held), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    other -= direction * (other @ direction) / (direction @ direction)
    assert float((delta.double() @ other).norm()) < 1e-4 * float(delta.norm() * other.norm())


def test_the_mean_key_is_c_rome(tiny_host: Any, facts: Any) -> None:
    host = tiny_host("llama")
    ours = RRome(RRomeOptions(**QUICK)).edit(host, facts[:1], {}).patch
    theirs = CRome(CRomeOptions(**QUICK)).edit(host, facts[:1], {}).patch
    assert ours is not None
    assert theirs is not None
    name = host.modules.down_weight(1)
    assert torch.equal(change(ours, name), change(theirs, name))
    bare = RRome(RRomeOptions(key_mode="bare", **QUICK)).edit(host, facts[:1], {}).patch
    assert bare is not None
    assert not torch.allclose(change(bare, name), change(ours, name), rtol=1e-2)


def test_romes_two_keys_are_no_choice() -> None:
    with pytest.raises(OptionError, match="key_mode=mixed"):
        resolve_options(RRomeOptions, {}, {"key_mode": "mixed"})


def test_presets_fit_their_options() -> None:
    found = load_presets(PRESETS / "r_rome.yaml")
    assert {"paper", "easyedit", "pocket"} == {preset.name for preset in found}
    for preset in found:
        resolve_options(RRomeOptions, preset.values, {})
