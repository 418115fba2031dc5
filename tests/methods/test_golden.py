"""Agreement with the public reference implementations: keys 1e-5, values 1e-4 (median 1e-5), weight changes 1e-4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.conftest import MODELS, Golden, assert_values, change, error
from torch import Tensor

from editharness.host import LocalHost
from editharness.locate.keys import block_outputs, keys
from editharness.locate.options import CRomeOptions, MemitOptions, RomeOptions
from editharness.locate.prior import PriorKeys
from editharness.locate.solve import Subspace, solve
from editharness.models.modules import to_math
from editharness.patch import LowRank, apply
from editharness_plugins.methods.c_rome import CRome
from editharness_plugins.methods.ft_m import FtM
from editharness_plugins.methods.memit import Memit
from editharness_plugins.methods.options.fine_tuning import FtOptions
from editharness_plugins.methods.rome import Rome

MEMITS = ("MEMIT_T1_n1", "MEMIT_T1_n10", "MEMIT_T6_n10", "MEMITw100_T1_n10", "MEMITw1_T6_n10")
ROMES = ("ROME_T1", "ROME_T6", "ROMEmom2_T1", "ROMEmom2layer1_T1", "ROMEmom2layer1_T6", "R-ROME_T6")

AMPLIFIED = {("ROMEmom2layer1_T1", "micro-llama"), ("ROMEmom2layer1_T6", "micro-llama")}
"""Where the search for one edit's value amplifies rounding, on some CPUs to 1e-4 and 3e-4; in fp64 it is 2e-5 off."""


def memit(golden: Golden) -> Memit:
    return Memit(MemitOptions(**golden.memit_options()))


@pytest.mark.parametrize("model", MODELS)
def test_second_moments(reference: Path, hosts: Any, golden: Any, model: str) -> None:
    host = hosts(model, golden("MEMIT_T1_n1", model))
    with np.load(reference / "golden" / f"cov_{model}.npz") as arrays:
        for layer in (1, 2):
            moments = host.moments(layer, together=(1, 2))
            assert moments.tokens == int(arrays["tokens"])
            upper = moments.c[tuple(torch.triu_indices(*moments.c.shape))]
            assert error(upper, arrays[f"triu_L{layer}"]) < 1e-5


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", MEMITS)
def test_memit(hosts: Any, golden: Any, model: str, name: str) -> None:
    g = golden(name, model)
    host, method = hosts(model, g), memit(g)
    layers, contexts = method.layers(host), method.contexts(host)
    under_contexts = host.encode(g.edits, contexts, targets=False)
    assert error(keys(host.model, host.modules, layers[0], under_contexts), g.arrays[f"ks_L{layers[0]}"]) < 1e-5
    current = block_outputs(host.model, host.modules, layers[-1], host.encode(g.edits, targets=False))
    assert error(current, g.arrays[f"curz_before_L{layers[0]}"]) < 1e-5
    assert_values(method.values(host, g.edits).target, g.arrays["z"])

    step = method.edit(host, g.edits, {})
    assert [s.outcome for s in step.statuses] == ["done"] * len(g.edits)
    for layer in layers:
        name = host.modules.down_weight(layer)
        assert error(change(step.patch, name), g.arrays[f"delta:{name}"]) < 1e-4
        assert error(step.state[f"prior_keys.layer{layer}"].mT, g.arrays[f"ks_L{layer}"]) < 1e-5


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ROMES)
def test_rome(hosts: Any, golden: Any, model: str, name: str) -> None:
    g = golden(name, model)
    host, h = hosts(model, g), g.hparams
    method: type[Rome] = CRome if name.startswith("R-") else Rome
    kind = CRomeOptions if method is CRome else RomeOptions
    options = kind(layer=h["layers"][0], covariance=h["mom2_adjustment"], templates=len(g.contexts), **g.values())
    if (name, model) in AMPLIFIED:
        host.model.double()
    assert max(rome_errors(host, method(options), g)) < 1e-4


def rome_errors(host: LocalHost, method: Rome, g: Golden) -> list[float]:
    layer = method.layer(host)
    weight, transposed = host.modules.down_weight(layer), host.modules.transposed(layer)
    theirs = [np.outer(g.arrays[f"v_{i}"], g.arrays[f"u_{i}"]) for i in range(len(g.edits))]
    ours = [to_math(change(step.patch, weight), transposed) for step in method.edit_each(host, g.edits, {})]
    return [error(a, b) for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["FT-M_T1"])
def test_ft_m(hosts: Any, golden: Any, model: str, name: str) -> None:
    g = golden(name, model)
    host, h = hosts(model, g), g.hparams
    norm = h["norm_constraint"] or None
    options = FtOptions(
        layer=h["layers"][0], steps=h["num_steps"], lr=h["lr"], weight_decay=h["weight_decay"], norm=norm,
        batch_size=h["batch_size"],
    )  # fmt: skip
    for index, step in enumerate(FtM(options).edit_each(host, g.edits, {})):
        for name in (key.partition(":")[2] for key in g.arrays if key.startswith(f"delta_{index}:")):
            assert error(change(step.patch, name), g.arrays[f"delta_{index}:{name}"]) < 1e-4


class NullSpace(Memit):
    """AlphaEdit: MEMIT's values and spread, the solve in the null space of the second moments."""

    l2 = 10.0

    def solve(self, host: Any, layer: int, key: Tensor, residual: Tensor, prior: PriorKeys) -> LowRank:
        basis = host.moments(layer, together=self.layers(host)).null_basis(0.02)
        return solve(Subspace(basis, self.l2), key, residual, prior=prior)


@pytest.mark.parametrize("model", MODELS)
def test_prior_keys_in_a_second_batch(reference: Path, hosts: Any, golden: Any, model: str) -> None:
    """The reference that has a second batch is AlphaEdit; it differs from MEMIT in the solve's space only."""
    g = golden("AlphaEdit_T1_n10", model)
    host, method = hosts(model, g), NullSpace(memit(g).options)
    method.l2 = g.hparams["L2"]
    with np.load(reference / "golden" / f"P_AlphaEdit_{model}.npz") as arrays:
        for layer in method.layers(host):
            basis = host.moments(layer).null_basis(g.hparams["nullspace_threshold"])
            assert error(basis @ basis.mT, arrays[f"P_L{layer}"]) < 1e-3
    first = method.edit(host, g.edits, {})
    with apply(host.model, first.patch):
        assert_values(method.values(host, g.second).target, g.arrays["z_second"])
        second = method.edit(host, g.second, first.state)
    for step, prefix in ((first, "delta"), (second, "delta_second")):
        for name in step.patch.deltas:
            # the reference solves in fp32
            assert error(change(step.patch, name), g.arrays[f"{prefix}:{name}"]) < 1e-3
