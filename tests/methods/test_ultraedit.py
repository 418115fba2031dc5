"""UltraEdit: the closed form against its definition, and statistics that hold for any number of tokens."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.methods.conftest import change

from editharness.errors import EditError
from editharness.host import LocalHost
from editharness.locate.gradients import Factors, token_gradients
from editharness.locate.running import Running
from editharness.models.load import load_model, weights_digest
from editharness.models.modules import to_math
from editharness.patch import apply
from editharness.testing.tiny import save_tiny
from editharness.types import Edit
from editharness_plugins.methods.options.fine_tuning import UltraEditOptions
from editharness_plugins.methods.ultraedit import UltraEdit, joined, upper

EDITS = (
    Edit("0", "The official language of Norway is", (25, 31), "English and Italian"),
    Edit("1", "The capital of Spain is", (15, 20), "Rome"),
    Edit("2", "Tōkyō is a city in", (0, 5), "Europe"),
)
STEP = UltraEditOptions(gate=(1,), up=(1,), down=(1, 2), eta=1e-2)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def host(request: Any, tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    folder = save_tiny(request.param, tmp_path_factory.mktemp(request.param))
    return LocalHost(load_model(str(folder), device="cpu"), seed=0)


def random(*size: int, seed: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@given(st.integers(2, 12), st.floats(0.1, 10), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_small_solve_is_the_papers_large_one(tokens: int, ridge: float, seed: int) -> None:
    factors = Factors(random(tokens, 6, seed=seed), random(tokens, 4, seed=seed + 1), torch.zeros(tokens).long())
    moments = Running.of(joined(factors))
    method = UltraEdit(UltraEditOptions(eta=0.1, ridge=ridge))
    key, gradient = moments.normalise(joined(factors)).double().split([6, 4], dim=1)
    shift = -0.1 * key.square().sum(dim=1, keepdim=True) * gradient
    raw = factors.keys.double()
    wanted = torch.linalg.solve(raw.mT @ raw + ridge * torch.eye(6, dtype=torch.float64), raw.mT @ shift)
    found = method.change(factors, moments)
    torch.testing.assert_close((found.a @ found.b).double(), wanted.mT, rtol=1e-3, atol=1e-4)


def test_a_batch_changes_the_named_maps_and_moves_its_facts(host: LocalHost) -> None:
    method = UltraEdit(STEP)
    step = method.edit(host, EDITS, {})
    assert set(step.patch.deltas) == {f"{name}.weight" for name in method.maps(host)}
    names, prompts = method.maps(host), host.encode(EDITS)
    before = token_gradients(host.model, host.modules.head, names, prompts)
    with apply(host.model, step.patch):
        after = token_gradients(host.model, host.modules.head, names, prompts)
    assert float(after.losses.mean()) < float(before.losses.mean())
    for name, factors in before.factors.items():
        delta = to_math(change(step.patch, f"{name}.weight"), host.modules.transposed(0))
        moved = (factors.keys @ delta.mT * factors.gradients).sum()
        assert float(moved) < 0
    assert weights_digest(host.model) == host.loaded.digest


def test_one_edit_of_one_token_is_made(host: LocalHost) -> None:
    """The published normaliser takes the variance of one sample: NaN."""
    token = host.tokenizer.decode([host.tokenizer(" Rome", add_special_tokens=False).input_ids[0]])
    one = Edit("one", EDITS[1].prompt, EDITS[1].subject, token)
    step = UltraEdit(STEP).edit(host, [one], {})
    assert step.statuses[0].outcome == "done"
    assert all(bool(change(step.patch, name).isfinite().all()) for name in step.patch.deltas)
    assert any(float(change(step.patch, name).abs().max()) > 0 for name in step.patch.deltas)


def test_without_prior_rows_one_token_is_refused() -> None:
    factors = {"a": Factors(random(1, 3, seed=0), random(1, 2, seed=1), torch.zeros(1).long())}
    with pytest.raises(EditError, match="prior_tokens"):
        UltraEdit(UltraEditOptions(prior_tokens=0)).seen(factors, {})


def test_without_prior_rows_the_statistics_are_the_papers() -> None:
    factors = {
        name: Factors(random(5, 3, seed=seed), random(5, 2, seed=seed + 9), torch.zeros(5).long())
        for seed, name in enumerate(("gate", "up"))
    }
    (moments,) = UltraEdit(UltraEditOptions(prior_tokens=0)).seen(factors, {}).values()
    rows = torch.cat([joined(one) for one in factors.values()]).double()
    torch.testing.assert_close(moments.mean, rows.mean(dim=0))
    torch.testing.assert_close(moments.deviation, rows.std(dim=0, correction=0))


def test_a_constant_feature_does_not_blow_up() -> None:
    """The published normaliser divides by its spread of 0 plus 1e-7."""
    keys = random(4, 3, seed=0)
    keys[:, 1] = 0.5
    factors = Factors(keys, random(4, 2, seed=1), torch.zeros(4).long())
    method = UltraEdit(UltraEditOptions(prior_tokens=2))
    (moments,) = method.seen({"a": factors}, {}).values()
    assert float(moments.normalise(joined(factors)).abs().max()) < 10


def test_statistics_go_on_over_batches(host: LocalHost) -> None:
    """In EasyEdit's port they begin anew at every call; here they are the state, and no batch is cut short."""
    method = UltraEdit(STEP)
    first = method.edit(host, EDITS[:2], {})
    second = method.edit(host, EDITS[2:], first.state)
    counts = {key: int(value) for key, value in second.state.items() if key.endswith(".count")}
    tokens = int((host.encode(EDITS).labels != -100).sum())
    maps = method.maps(host)
    assert sum(counts.values()) == tokens * len(maps) + 10 * len(counts)
    fresh = method.edit(host, EDITS[2:], {})
    name = next(iter(fresh.patch.deltas))
    assert not torch.allclose(change(second.patch, name), change(fresh.patch, name))


def test_gate_and_up_share_their_statistics(host: LocalHost) -> None:
    state = UltraEdit(STEP).edit(host, EDITS, {}).state
    width, inner = host.modules.hidden_size, host.modules.key_size(1)
    assert {key.rpartition(".")[0] for key in state} == {f"{width}x{inner}", f"{inner}x{width}"}


def test_layers_where_none_are_published() -> None:
    assert upper(28) == tuple(range(18, 24))
    assert upper(2) == (1,)


def test_an_mlp_without_a_gate_has_one_input_map(host: LocalHost) -> None:
    maps = UltraEdit(UltraEditOptions(gate=(1,), up=(1,))).maps(host)
    assert len(maps) == (2 if host.modules.projection(1, "up") != host.modules.projection(1, "gate") else 1)
