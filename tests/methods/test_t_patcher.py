"""T-Patcher: neurons that are on for their edit and off elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.models.capture import capture
from editharness.patch import ModulePatch, apply
from editharness.types import Case, Edit, Step
from editharness_plugins.methods.options.memories import TPatcherOptions
from editharness_plugins.methods.t_patcher import Neurons, PatchedMlp, TPatcher

OPTIONS = TPatcherOptions(steps=400, lr=0.02, memory=50, first_check=50, check_every=25)
CASES = [
    Case("a", "The currency of Japan is the", (16, 21), "euro", old="yen"),
    Case("b", "The capital of Spain is", (15, 20), "Rome", old="Madrid"),
    Case("c", "東京 is its name in", (0, 2), "Greek", old="Japanese"),
]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def done(
    request: pytest.FixtureRequest, tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit]
) -> tuple[LocalHost, Edit, Step]:
    host = tiny_host(request.param)
    host.rng.manual_seed(0)
    method = TPatcher(OPTIONS)
    edit = replace(facts[0], target="Berlin")
    return host, edit, method.edit(host, [edit], method.prepare(host, CASES))


def test_the_edit_is_answered_and_the_memory_is_not_touched(done: tuple[LocalHost, Edit, Step]) -> None:
    host, edit, step = done
    assert step.statuses[0].outcome == "done"
    ids = host.encode([edit]).ids
    others = [host.tokenizer(f"{case.prompt} {case.old}", return_tensors="pt").input_ids for case in CASES]
    with torch.no_grad():
        before = [host.model(other).logits for other in others]
        with apply(host.model, step.patch):  # type: ignore[arg-type]
            said = host.model(ids).logits
            after = [host.model(other).logits for other in others]
    labels = host.encode([edit]).labels
    assert torch.equal(said.argmax(dim=-1)[labels >= 0], labels[labels >= 0])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)), "a neuron that is off adds nothing"


def test_memories_are_of_train_texts_and_of_earlier_edits(done: tuple[LocalHost, Edit, Step]) -> None:
    host, edit, step = done
    prepared = TPatcher(OPTIONS).prepare(host, CASES)
    texts = [host.tokenizer(f"{case.prompt} {case.old}").input_ids for case in CASES]
    assert len(prepared["memory"]) == min(50, sum(map(len, texts)))
    added = int((host.encode([edit]).labels >= 0).sum())
    assert len(step.state["memory"]) == len(prepared["memory"]) + added
    smaller = TPatcher(replace(OPTIONS, memory=7)).prepare(host, CASES)
    assert smaller["memory"].shape == (7, host.modules.hidden_size)


def test_every_wrong_token_gets_a_neuron_up_to_the_limit(
    done: tuple[LocalHost, Edit, Step], facts: Sequence[Edit]
) -> None:
    host, edit, step = done
    wrong = host.encode([edit])
    tokens = wrong.labels[wrong.labels >= 0]
    with torch.no_grad():
        first = host.model(wrong.ids).logits.argmax(dim=-1)[wrong.labels >= 0]
    assert len(step.state["keys"]) == min(5, int((first != tokens).sum())) > 0
    one = TPatcher(replace(OPTIONS, neurons=1, steps=2)).edit(host, [edit], TPatcher(OPTIONS).prepare(host, CASES))
    assert len(one.state["keys"]) == 1


def test_an_answer_that_is_right_gets_none(done: tuple[LocalHost, Edit, Step]) -> None:
    host, edit, step = done
    with apply(host.model, step.patch):  # type: ignore[arg-type]
        again = TPatcher(OPTIONS).edit(host, [edit], step.state)
    assert (again.statuses[0].outcome, again.patch) == ("skipped", None)
    assert again.state is step.state


def test_a_neuron_begins_on_at_its_token(done: tuple[LocalHost, Edit, Step]) -> None:
    """k = h/|h|² makes the pre-activation 1, whatever the hidden state's length."""
    host, edit, _ = done
    step = TPatcher(replace(OPTIONS, steps=1, lr=0.0)).edit(host, [edit], TPatcher(OPTIONS).prepare(host, CASES))
    prompts = host.encode([edit])
    path = host.modules.mlp(host.modules.layers - 1)
    with torch.no_grad(), capture(host.model, {path: "input"}) as seen:
        host.model(prompts.ids)
    neurons = Neurons(*(step.state[name] for name in ("keys", "biases", "values")))
    at_its_own = (neurons.before(seen[path][0]) - 1).abs() < 1e-4
    assert bool(at_its_own.any(dim=0).all())


def test_neurons_are_relu_beside_the_mlp() -> None:
    neurons = Neurons(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0.0, -3.0]), torch.eye(2))
    hidden = torch.tensor([[[2.0, 2.0], [-1.0, 5.0]]])
    assert PatchedMlp(nn.Identity(), neurons)(hidden).tolist() == [[[4.0, 2.0], [-1.0, 7.0]]]
    assert PatchedMlp(nn.Identity(), neurons)(hidden.bfloat16()).dtype == torch.bfloat16


def test_the_patch_holds_the_neurons_of_earlier_edits(
    done: tuple[LocalHost, Edit, Step], facts: Sequence[Edit]
) -> None:
    host, _, step = done
    with apply(host.model, step.patch):  # type: ignore[arg-type]
        later = TPatcher(replace(OPTIONS, steps=5)).edit(host, [facts[1]], step.state)
    assert isinstance(later.patch, ModulePatch)
    (recipe,) = later.patch.swaps.values()
    count = len(step.state["keys"])
    assert len(recipe.tensors["keys"]) > count
    assert torch.equal(recipe.tensors["keys"][:count], step.state["keys"])


def test_without_its_memory_it_stops(tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit]) -> None:
    with pytest.raises(MethodError, match="begin with the state that prepare returns"):
        TPatcher(OPTIONS).edit(tiny_host("llama"), facts[:1], {})


def test_without_train_cases_it_stops(tiny_host: Callable[[str], LocalHost]) -> None:
    with pytest.raises(MethodError, match="no train cases to remember"):
        TPatcher(OPTIONS).prepare(tiny_host("llama"), [])
