"""MALMEN: the ridge regression, and the gradient that reaches the nets without a graph through it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.locate.forward import label_losses
from editharness.models.modules import to_stored
from editharness.testing.conformance.bench import Bench, BenchHost
from editharness.testing.conformance.facts import CASES, TRAIN
from editharness_plugins.methods.hypernetwork.learning import Learned, leaves
from editharness_plugins.methods.hypernetwork.lessons import as_edit, lesson
from editharness_plugins.methods.hypernetwork.maps import Edited, masters, matrix
from editharness_plugins.methods.hypernetwork.ridge import ridge_change, ridge_gradient
from editharness_plugins.methods.malmen import Malmen
from editharness_plugins.methods.options.hypernetworks import MalmenOptions

EDITS = [as_edit(case) for case in CASES]
OPTIONS = MalmenOptions(
    layers=(1, 2),
    projections=("gate", "down"),
    rank=8,
    edits=4,
    steps=3,
    lr=1e-3,
    scale=0.01,
    ridge=0.5,
    loc_weight=0.5,
)
METHOD = Malmen(OPTIONS)
PROBLEMS = st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(1, 4), st.integers(0, 999))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("models"))


def problem(size: tuple[int, int, int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys, shifts, the pull on a change and a ridge for (tokens, d_in, d_out, seed)."""
    tokens, d_in, d_out, seed = size
    rng = torch.Generator().manual_seed(seed)
    keys, shifts = torch.randn(tokens, d_in, generator=rng), torch.randn(tokens, d_out, generator=rng)
    pull = torch.randn(d_out, d_in, generator=rng)
    return keys, shifts, pull, torch.randn((), generator=rng)


@given(PROBLEMS)
@settings(max_examples=60, deadline=None)
def test_both_forms_solve_the_normal_equations(size: tuple[int, int, int, int]) -> None:
    keys, shifts, _, log_ridge = problem(size)
    delta = matrix(ridge_change(keys, shifts, log_ridge)).double().mT
    system = keys.double().mT @ keys.double() + log_ridge.double().exp() * torch.eye(size[1], dtype=torch.float64)
    torch.testing.assert_close(system @ delta, keys.double().mT @ shifts.double(), rtol=1e-4, atol=1e-4)


@given(PROBLEMS)
@settings(max_examples=60, deadline=None)
def test_the_decoupled_gradient_is_autograds(size: tuple[int, int, int, int]) -> None:
    keys, shifts, pull, log_ridge = problem(size)
    v, ridge = shifts.double().requires_grad_(), log_ridge.double().requires_grad_()
    k = keys.double()
    delta = torch.linalg.solve(k.mT @ k + ridge.exp() * torch.eye(size[1], dtype=torch.float64), k.mT @ v).mT
    theirs = torch.autograd.grad((delta * pull).sum(), [v, ridge])
    ours = ridge_gradient(keys, matrix(ridge_change(keys, shifts, log_ridge)), log_ridge, pull)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-4)


def test_a_small_ridge_reaches_the_shifts_and_a_large_one_changes_nothing() -> None:
    keys, shifts, _, _ = problem((3, 8, 4, 0))
    exact = matrix(ridge_change(keys, shifts, torch.tensor(-20.0)))
    torch.testing.assert_close(keys @ exact.mT, shifts, rtol=1e-3, atol=1e-3)
    assert float(matrix(ridge_change(keys, shifts, torch.tensor(20.0))).abs().max()) < 1e-6


def begun(host: BenchHost) -> Learned:
    """Nets with noise on every number, and the moments of some factors."""
    nets = METHOD.nets(METHOD.maps(host))
    fresh = METHOD.fresh(host, nets)
    numbers = {name: x + 0.3 * x.abs().mean() * torch.randn(x.shape, generator=host.rng) for name, x in fresh.items()}
    found = METHOD.factors(host, host.model, nets.maps, [as_edit(case) for case in TRAIN])
    return METHOD.counted(Learned(numbers, {}), nets.maps, found.factors)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_gradient_is_that_of_one_graph_through_net_solve_and_model(bench: Bench, family: str) -> None:
    host = bench.host(family)
    nets, before = METHOD.nets(METHOD.maps(host)), masters(host.model, METHOD.maps(host))
    taught = lesson(TRAIN[:3], "paraphrase", host.rng)
    moved = METHOD.move(host, nets, begun(host), before, taught)
    pull = METHOD.pull(host, before, moved.weights, taught)
    ours = METHOD.gradient(nets, moved, pull)

    variable = leaves(moved.learned)
    edited = dict(before)
    for one in nets.maps:
        factors = moved.factors[one.module]
        k, log_ridge = factors.keys.double(), variable.numbers[f"{one.shape}.log_ridge"][one.index].double()
        v = METHOD.shifts(nets, variable, one, factors, slice(None)).double()
        delta = (k.mT @ torch.linalg.solve(k @ k.mT + log_ridge.exp() * torch.eye(len(k)).double(), v)).mT.float()
        edited[one.weight] = before[one.weight] + to_stored(delta, one.transposed)
    head, unrelated = host.model.get_submodule(host.modules.head), host.encode(taught.unrelated)
    answers = label_losses(head, host.encode(taught.asked), Edited(host.model, edited)).mean()
    old, new = (
        Edited(host.model, weights)(input_ids=unrelated.ids, attention_mask=unrelated.mask).logits.log_softmax(-1)
        for weights in (before, edited)
    )
    whole = answers + OPTIONS.loc_weight * (old.exp() * (old - new)).sum(-1)[unrelated.labels != -100].mean()
    torch.testing.assert_close(pull.loss, whole.detach(), rtol=1e-4, atol=1e-5)
    theirs = torch.autograd.grad(whole, list(variable.numbers.values()))
    for name, wanted in zip(variable.numbers, theirs, strict=True):
        torch.testing.assert_close(ours[name], wanted, rtol=5e-3, atol=1e-4 * float(wanted.abs().max()) + 1e-7)


def test_parts_of_a_pass_through_the_net_add_up(bench: Bench) -> None:
    host = bench.host("llama")
    state = begun(host).to_state()
    whole, parts = (Malmen(replace(OPTIONS, net_tokens=size)).edit(host, EDITS, state).patch for size in (1000, 2))
    for name, change in whole.deltas.items():  # type: ignore[union-attr]
        torch.testing.assert_close(matrix(change), matrix(parts.deltas[name]), rtol=1e-4, atol=1e-6)  # type: ignore[union-attr]


def test_one_token_of_one_edit_is_enough(bench: Bench) -> None:
    """The published moments take the variance of one sample, NaN, and never recover."""
    host = bench.host("llama")
    one = replace(TRAIN[0], target="the", paraphrases=(), neighbours=())
    method = Malmen(replace(OPTIONS, edits=1, steps=2, loc_weight=1.0))
    assert int((host.encode([as_edit(one)]).labels != -100).sum()) == 1
    state = method.prepare(host, [one])
    assert all(bool(tensor.isfinite().all()) for tensor in state.values())
    step = method.edit(host, [as_edit(one)], state)
    assert [s.outcome for s in step.statuses] == ["done"]
    assert all(bool(tensor.isfinite().all()) for tensor in step.state.values())


def test_moments_keep_counting_while_editing(bench: Bench) -> None:
    host = bench.host("llama")
    state = begun(host).to_state()
    tokens = int((host.encode(EDITS).labels != -100).sum())
    after = METHOD.edit(host, EDITS, state).state
    assert int(after["seen.96x32.count"]) == int(state["seen.96x32.count"]) + 2 * tokens
    assert all(torch.equal(after[name], state[name]) for name in state if name.startswith("net."))


def test_by_default_it_trains_once_through_the_cases() -> None:
    assert Malmen(MalmenOptions(edits=3)).steps(TRAIN) == 3
    assert Malmen(MalmenOptions(edits=3, steps=7)).steps(TRAIN) == 7
