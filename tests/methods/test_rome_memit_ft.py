"""The methods over tiny models: single equals one by one, failures stay single, the model is left as it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.locate.keys import block_outputs, keys
from editharness.locate.options import CRomeOptions, MemitOptions, RomeOptions
from editharness.method import Method
from editharness.models.load import load_model, weights_digest
from editharness.models.modules import to_math
from editharness.options import resolve_options
from editharness.patch import Dense, WeightPatch, apply
from editharness.presets import load_presets
from editharness.testing.tiny import TEXT, save_tiny
from editharness.types import Edit
from editharness_plugins.methods import rome as rome_module
from editharness_plugins.methods.c_rome import CRome
from editharness_plugins.methods.ft_m import FtM
from editharness_plugins.methods.memit import Memit
from editharness_plugins.methods.options.fine_tuning import FtOptions
from editharness_plugins.methods.rome import Rome

FACTS = (
    ("The Eiffel Tower is located in the city of", "Eiffel Tower", "Rome"),
    ("The official language of Norway is", "Norway", "French"),
    ("Danielle Darrieux's mother tongue is", "Danielle Darrieux", "English and Italian"),
)
EDITS = [
    Edit(str(i), prompt, (prompt.index(subject), prompt.index(subject) + len(subject)), target)
    for i, (prompt, subject, target) in enumerate(FACTS)
]
NO_SUBJECT = Edit("lost", "The capital of Spain is", (90, 95), "Rome")
QUICK: dict[str, Any] = {"steps": 5, "lr": 0.1}
METHODS: dict[str, Method[Any]] = {
    "rome": Rome(RomeOptions(layer=1, templates=2, **QUICK)),
    "c_rome": CRome(CRomeOptions(layer=1, templates=2, covariance=False, **QUICK)),
    "memit": Memit(MemitOptions(layers=(0, 1), templates=2, covariance_weight=0.1, **QUICK)),
    "ft_m": FtM(FtOptions(layer=1, steps=3)),
}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalHost]:
    def make(family: str) -> LocalHost:
        folder = save_tiny(family, tmp_path_factory.mktemp(family))
        return LocalHost(load_model(str(folder), device="cpu"), seed=0, texts=TEXT * 3)

    return {family: make(family) for family in ("llama", "gpt2")}


def change(patch: Any, name: str) -> torch.Tensor:
    assert isinstance(patch, WeightPatch)
    delta = patch.deltas[name]
    return delta.delta if isinstance(delta, Dense) else delta.a @ delta.b


def assert_same(ours: Any, theirs: Any) -> None:
    assert set(ours.deltas) == set(theirs.deltas)
    for name in ours.deltas:
        wanted = change(theirs, name)
        assert float((change(ours, name) - wanted).norm()) <= 2e-3 * float(wanted.norm())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("name", METHODS)
def test_each_is_one_by_one_and_failures_stay_single(hosts: dict[str, LocalHost], name: str, family: str) -> None:
    host, method = hosts[family], METHODS[name]
    asked: Sequence[Edit] = [EDITS[0], NO_SUBJECT, EDITS[2]]
    steps = list(method.edit_each(host, asked, {}))
    assert [step.statuses[0].edit_id for step in steps] == ["0", "lost", "2"]
    assert [step.statuses[0].outcome for step in steps] == ["done", "failed", "done"]
    assert steps[1].patch is None
    assert "subject span" in steps[1].statuses[0].reason
    alone = method.edit(host, [EDITS[2]], {})
    assert_same(steps[2].patch, alone.patch)
    assert {"loss", "steps"} <= set(alone.statuses[0].facts)
    assert weights_digest(host.model) == host.loaded.digest
    lost = method.edit(host, [NO_SUBJECT], {})
    assert lost.patch is None
    assert lost.statuses[0].outcome == "failed"


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_memit_with_a_small_weight_reaches_its_values(hosts: dict[str, LocalHost], family: str) -> None:
    host = hosts[family]
    method = Memit(MemitOptions(layers=(0, 1), templates=0, covariance_weight=1e-6, **QUICK))
    values = method.values(host, EDITS)
    step = method.edit(host, EDITS, {})
    assert step.patch is not None
    with apply(host.model, step.patch):
        reached = block_outputs(host.model, host.modules, 1, host.encode(EDITS, targets=False))
    assert float((reached - values.target).norm()) < 2e-2 * float(values.target.norm())


def test_memit_leaves_out_a_failed_edit_of_a_batch(hosts: dict[str, LocalHost]) -> None:
    host, method = hosts["llama"], METHODS["memit"]
    step = method.edit(host, [EDITS[0], NO_SUBJECT, EDITS[1]], {})
    assert [s.outcome for s in step.statuses] == ["done", "failed", "done"]
    assert_same(step.patch, method.edit(host, [EDITS[0], EDITS[1]], {}).patch)


def test_memit_protects_the_keys_of_earlier_batches(hosts: dict[str, LocalHost]) -> None:
    host = hosts["llama"]
    options = MemitOptions(layers=(1,), templates=0, covariance_weight=1e-6, **QUICK)
    kept, lost = Memit(options), Memit(MemitOptions(**{**vars(options), "prior": False}))
    first = kept.edit(host, EDITS[:2], {})
    assert_same(lost.edit(host, EDITS[:2], {}).patch, first.patch)
    assert set(first.state) == {"prior_keys.layer1"}
    earlier = keys(host.model, host.modules, 1, host.encode(EDITS[:2], targets=False)).mT
    moved = {}
    for name, method, state in (("kept", kept, first.state), ("lost", lost, {})):
        assert first.patch is not None
        with apply(host.model, first.patch):
            second = method.edit(host, EDITS[2:], state)
        moved[name] = float((change(second.patch, host.modules.down_weight(1)) @ earlier).norm())
    assert second.state == {}
    assert moved["kept"] < 0.5 * moved["lost"]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("mode", ["mixed", "mean", "bare"])
def test_rome_meets_its_constraint(hosts: dict[str, LocalHost], family: str, mode: Any) -> None:
    host = hosts[family]
    method = Rome(RomeOptions(layer=1, templates=3, key_mode=mode, **QUICK))
    value = method.values(host, EDITS[:1]).target[0]
    patch = method.edit(host, EDITS[:1], {}).patch
    delta = to_math(change(patch, host.modules.down_weight(1)), host.modules.transposed(1))
    contexts = method.contexts(host) if mode == "mean" else ("{}",)
    held = keys(host.model, host.modules, 1, host.encode(EDITS[:1], contexts, targets=False), "flat")[0]
    output = host.model.get_submodule(host.modules.down_projection(1))(held)
    torch.testing.assert_close(delta @ held, value - output, rtol=1e-3, atol=1e-4)


def test_rome_takes_one_edit(hosts: dict[str, LocalHost]) -> None:
    with pytest.raises(MethodError, match="one edit at a time"):
        METHODS["rome"].edit(hosts["llama"], EDITS, {})


def test_ft_m_stays_in_its_ball_and_lowers_the_loss(hosts: dict[str, LocalHost]) -> None:
    host = hosts["gpt2"]
    step = FtM(FtOptions(layer=1, steps=8, lr=0.01, norm=0.002, batch_size=2)).edit(host, EDITS, {})
    assert step.patch is not None
    for name in step.patch.deltas:
        assert 0 < float(change(step.patch, name).abs().max()) <= 0.002 + 1e-7
    one = FtM(FtOptions(layer=1, steps=1)).edit(host, EDITS, {})
    assert sum(s.facts["loss"] for s in step.statuses) < sum(s.facts["loss"] for s in one.statuses)
    assert weights_digest(host.model) == host.loaded.digest


@pytest.mark.parametrize("method", ["rome", "c_rome", "memit", "ft_m"])
def test_presets_fit_their_options(method: str) -> None:
    folder = Path(rome_module.__file__).parent / "presets"
    kinds = {"rome": RomeOptions, "c_rome": CRomeOptions, "memit": MemitOptions, "ft_m": FtOptions}
    found = load_presets(folder / f"{method}.yaml")
    assert {"easyedit", "pocket"} <= {preset.name for preset in found}
    for preset in found:
        resolve_options(kinds[method], preset.values, {})
