"""MEND: the step along pseudo factors, its sign, and the gradient behind it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from editharness.locate.forward import label_losses
from editharness.models.modules import to_stored
from editharness.patch import WeightPatch, apply
from editharness.testing.conformance.bench import Bench, BenchHost
from editharness.testing.conformance.facts import CASES, TRAIN
from editharness_plugins.methods.hypernetwork.editor import joined
from editharness_plugins.methods.hypernetwork.learning import Learned, leaves
from editharness_plugins.methods.hypernetwork.lessons import as_edit, lesson
from editharness_plugins.methods.hypernetwork.maps import Edited, masters, matrix
from editharness_plugins.methods.mend import Mend
from editharness_plugins.methods.options.hypernetworks import MendOptions

EDITS = [as_edit(case) for case in CASES]
OPTIONS = MendOptions(layers=(1, 2), rank=8, edits=4, accumulate=1, steps=0, lr=1e-3, scale=3e-3, loc_weight=0.5)
METHOD = Mend(OPTIONS)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("models"))


def begun(host: BenchHost, noise: float = 0.0) -> Learned:
    """Nets as training starts from, or with noise on every number, and the moments of some factors."""
    nets = METHOD.nets(METHOD.maps(host))
    fresh = METHOD.fresh(host, nets)
    numbers = {name: x + noise * x.abs().mean() * torch.randn(x.shape, generator=host.rng) for name, x in fresh.items()}
    found = METHOD.factors(host, host.model, nets.maps, [as_edit(case) for case in TRAIN])
    return METHOD.counted(Learned(numbers, {}), nets.maps, found.factors)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_fresh_net_steps_down_along_normalised_factors(bench: Bench, family: str) -> None:
    host = bench.host(family)
    learned = begun(host)
    step = METHOD.edit(host, EDITS[:2], learned.to_state())
    assert isinstance(step.patch, WeightPatch)
    found = METHOD.factors(host, host.model, METHOD.maps(host), EDITS[:2])
    for one in METHOD.maps(host):
        z = learned.moments[one.shape].normalise(joined(METHOD.live(found.factors[one.module])))
        wanted = -OPTIONS.scale * z[:, one.d_in :].mT @ z[:, : one.d_in]
        torch.testing.assert_close(matrix(step.patch.deltas[one.weight]), to_stored(wanted, one.transposed))
    with apply(host.model, step.patch):
        after = METHOD.factors(host, host.model, METHOD.maps(host), EDITS[:2]).losses
    assert float(after.mean()) < float(found.losses.mean())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_gradient_is_that_of_one_graph_through_net_and_model(bench: Bench, family: str) -> None:
    host = bench.host(family)
    nets, learned = METHOD.nets(METHOD.maps(host)), begun(host, noise=0.3)
    given = lesson(TRAIN[:3], "both", host.rng)
    loss, ours, after = METHOD.gradient(host, nets, learned, given)

    variable, found = leaves(after), METHOD.factors(host, host.model, nets.maps, given.edits)
    before, head = masters(host.model, nets.maps), host.model.get_submodule(host.modules.head)
    edited = {
        one.weight: before[one.weight]
        + to_stored(matrix(METHOD.change(nets, variable, one, found.factors[one.module])), one.transposed)
        for one in nets.maps
    }
    answers = label_losses(head, host.encode(given.asked), Edited(host.model, edited)).mean()
    unrelated = host.encode(given.unrelated)
    old, new = (
        Edited(host.model, weights)(input_ids=unrelated.ids, attention_mask=unrelated.mask).logits.log_softmax(-1)
        for weights in (before, edited)
    )
    divergence = (old.exp() * (old - new)).sum(-1)[unrelated.mask].mean()
    whole = OPTIONS.edit_weight * answers + OPTIONS.loc_weight * divergence
    assert loss == pytest.approx(float(whole.detach()), rel=1e-4)
    theirs = torch.autograd.grad(whole, list(variable.numbers.values()))
    for name, wanted in zip(variable.numbers, theirs, strict=True):
        torch.testing.assert_close(ours[name], wanted, rtol=2e-3, atol=1e-5 * float(wanted.abs().max() + 1))


def test_tokens_without_a_gradient_do_not_count(bench: Bench) -> None:
    """In the last block only the positions of the answer have one; MEND's code drops the others."""
    host = bench.host("llama")
    prompts = host.encode([as_edit(case) for case in TRAIN])
    last = Mend(replace(OPTIONS, layers=(2,), projections=("down",)))
    found = last.factors(host, host.model, last.maps(host), [as_edit(case) for case in TRAIN])
    counted = last.counted(Learned({}, {}), last.maps(host), found.factors)
    assert counted.moments["96x32"].count == int((prompts.labels != -100).sum())
    lower = replace(OPTIONS, layers=(1,), projections=("down",))
    below = Mend(lower).counted(
        Learned({}, {}), Mend(lower).maps(host),
        Mend(lower).factors(host, host.model, Mend(lower).maps(host), [as_edit(case) for case in TRAIN]).factors,
    )  # fmt: skip
    assert counted.moments["96x32"].count < below.moments["96x32"].count <= int(prompts.mask.sum())


def test_moments_are_frozen_while_editing(bench: Bench) -> None:
    host = bench.host("llama")
    state = begun(host).to_state()
    after = METHOD.edit(host, EDITS, state).state
    assert set(after) == set(state)
    assert all(torch.equal(after[name], state[name]) for name in state)


def test_training_lowers_the_loss(bench: Bench) -> None:
    said: list[float] = []

    class Listening(BenchHost):
        def progress(self, done: int, total: int, what: str) -> None:
            said.append(float(what.rpartition(" ")[2].rstrip(")")))

    host = Listening(bench.loaded("llama"), 0, {})
    longer = replace(OPTIONS, steps=15, accumulate=2, lr=1e-2, edit_weight=1.0, loc_weight=0.1)
    Mend(longer).prepare(host, TRAIN)
    assert max(said[-4:]) < 0.9 * said[0]
