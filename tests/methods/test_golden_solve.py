"""Agreement of what is solved otherwise than MEMIT: EMMET, RECT, PRUNE and AlphaEdit, weight changes to 1e-4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.conftest import MODELS, Golden, assert_values, change, error

from editharness.locate.keys import block_outputs, keys
from editharness.locate.options import AlphaEditOptions, EmmetOptions, PruneOptions, RectOptions
from editharness.patch import Dense, WeightPatch, apply
from editharness_plugins.methods.alphaedit import AlphaEdit
from editharness_plugins.methods.emmet import Emmet
from editharness_plugins.methods.memit import Memit
from editharness_plugins.methods.prune import Prune, restrained
from editharness_plugins.methods.rect import Rect

pytestmark = pytest.mark.slow

ALPHAEDITS = (
    "AlphaEdit_T1_n10", "AlphaEdit_T6_n10", "orig-AlphaEdit-AlphaEdit_T1_n10", "orig-AlphaEdit-AlphaEdit_T6_n10",
)  # fmt: skip


def common(golden: Golden) -> dict[str, Any]:
    layers = tuple(golden.hparams["layers"])
    return {"layers": layers, "templates": len(golden.contexts), **golden.values()}


def weighted(golden: Golden) -> dict[str, Any]:
    return {**common(golden), "covariance_weight": golden.hparams["mom2_update_weight"]}


def assert_inputs(host: Any, method: Memit, g: Golden) -> None:
    """Keys of the first layer, current values where the file has them, target values."""
    layers = method.layers(host)
    under_contexts = host.encode(g.edits, method.contexts(host), targets=False)
    assert error(keys(host.model, host.modules, layers[0], under_contexts), g.arrays[f"ks_L{layers[0]}"]) < 1e-5
    before = g.arrays.get(f"curz_before_L{layers[0]}")
    if before is not None:
        current = block_outputs(host.model, host.modules, layers[-1], host.encode(g.edits, targets=False))
        assert error(current, before) < 1e-5
    assert_values(method.values(host, g.edits).target, g.arrays["z"])


def assert_changes(patch: Any, g: Golden, prefix: str = "delta") -> None:
    wanted = {name.partition(":")[2] for name in g.arrays if name.startswith(f"{prefix}:")}
    assert set(patch.deltas) == wanted
    for name in wanted:
        assert error(change(patch, name), g.arrays[f"{prefix}:{name}"]) < 1e-4


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ALPHAEDITS)
def test_alphaedit(hosts: Any, golden: Any, model: str, name: str) -> None:
    g = golden(name, model)
    threshold, l2 = g.hparams["nullspace_threshold"], g.hparams["L2"]
    host, method = hosts(model, g), AlphaEdit(AlphaEditOptions(threshold=threshold, l2=l2, **common(g)))
    assert_inputs(host, method, g)
    first = method.edit(host, g.edits, {})
    assert [s.outcome for s in first.statuses] == ["done"] * len(g.edits)
    assert_changes(first.patch, g)
    if not g.second:
        return
    assert first.patch is not None
    with apply(host.model, first.patch):
        assert_values(method.values(host, g.second).target, g.arrays["z_second"])
        second = method.edit(host, g.second, first.state)
    assert_changes(second.patch, g, "delta_second")


@pytest.mark.parametrize("model", MODELS)
def test_the_null_space_has_the_references_rank(reference: Path, hosts: Any, golden: Any, model: str) -> None:
    g = golden("AlphaEdit_T1_n10", model)
    host, method = hosts(model, g), AlphaEdit(AlphaEditOptions(**common(g)))
    facts = method.values(host, g.edits[:1]).statuses[0].facts
    with np.load(reference / "golden" / f"P_AlphaEdit_{model}.npz") as arrays:
        assert [facts[f"rank.layer{layer}"] for layer in method.layers(host)] == arrays["rank"].tolist()
        for layer in method.layers(host):
            basis = method.basis(host, layer)
            assert error(basis @ basis.mT, arrays[f"P_L{layer}"]) < 1e-3  # eigenvectors at the threshold mix in fp32


@pytest.mark.parametrize("model", MODELS)
def test_emmet(hosts: Any, golden: Any, model: str) -> None:
    g = golden("EMMET_T1_n10", model)
    host, method = hosts(model, g), Emmet(EmmetOptions(ridge=g.hparams["emmet_lambda"], **weighted(g)))
    assert_inputs(host, method, g)
    assert_changes(method.edit(host, g.edits, {}).patch, g)


@pytest.mark.parametrize("model", MODELS)
def test_rect(hosts: Any, golden: Any, model: str) -> None:
    g = golden("orig-RECTw100_T1_n10", model)
    host, method = hosts(model, g), Rect(RectOptions(keep=0.4, **weighted(g)))
    assert_inputs(host, method, g)
    patch = method.edit(host, g.edits, {}).patch
    assert_changes(patch, g)
    assert patch is not None
    for name in patch.deltas:
        ours, theirs = np.asarray(change(patch, name)), g.arrays[f"delta:{name}"]
        assert np.count_nonzero(ours) == np.count_nonzero(theirs)


@pytest.mark.parametrize("model", MODELS)
def test_prune(reference: Path, hosts: Any, golden: Any, model: str) -> None:
    """The golden file is the formula on MEMIT's change: on theirs to the last digits, on ours within MEMIT's."""
    g = golden("MEMITw1_T6_n10", model)
    host, method = hosts(model, g), Prune(PruneOptions(**weighted(g)))
    patch = method.edit(host, g.edits, {}).patch
    assert patch is not None
    viewed = method.view(host, patch)
    assert isinstance(viewed, WeightPatch)
    with np.load(reference / "golden" / f"PRUNEofMEMITw1_T6_n10_{model}.npz") as arrays:
        for name in patch.deltas:
            limit = float(arrays[f"max_sigma:{name}"])
            assert limit == pytest.approx(float(torch.linalg.matrix_norm(host.original(name), 2)), rel=1e-6)
            theirs = Dense(torch.from_numpy(g.arrays[f"delta:{name}"]))
            exact = restrained(theirs, limit, float(np.e))
            assert error(change(WeightPatch({name: exact}), name), arrays[f"prune_delta:{name}"]) < 5e-6
            assert error(change(viewed, name), arrays[f"prune_delta:{name}"]) < 1e-4
