"""The oracle: what it trains on, holds back and keeps; when it stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from editharness.host import LocalHost
from editharness.locate.forward import label_losses
from editharness.models.load import load_model, weights_digest
from editharness.patch import apply
from editharness.registry import load_plugins
from editharness.testing.tiny import save_tiny
from editharness.types import Edit
from editharness_plugins.methods.options.fine_tuning import OracleOptions
from editharness_plugins.methods.oracle import Lessons, Oracle, divergence, lessons, middle, rows
from editharness_plugins.methods.tuning import copies, running

FORMS = (
    ("Spain is governed from", "Rome"),
    ("The capital of Spain is not", "Madrid"),
    ("Spain's capital is Rome. True or false? Answer:", "true"),
)
EDIT = Edit("0", "The capital of Spain is", (15, 20), "Rome", unrelated_text="Berlin is in Germany", forms=FORMS)
OTHER = Edit(
    "1", "The official language of Norway is", (25, 31), "French", unrelated_text="The yen is money of Japan",
    forms=(("In Norway one speaks", "French"), ("In Norway one does not speak", "Norwegian")),
)  # fmt: skip
QUICK = OracleOptions(steps=30, lr=0.005, check=5, batch_size=8, keep=0.1)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def host(request: Any, tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    folder = save_tiny(request.param, tmp_path_factory.mktemp(request.param))
    return LocalHost(load_model(str(folder), device="cpu"), seed=0)


def losses(host: LocalHost, *statements: tuple[str, str]) -> torch.Tensor:
    with torch.no_grad():
        return label_losses(host.model.get_submodule(host.modules.head), rows(host, statements), host.model)


def texts(host: LocalHost, made: Any) -> list[str]:
    return [
        host.tokenizer.decode(ids[mask], skip_special_tokens=True)
        for ids, mask in zip(made.ids, made.mask, strict=True)
    ]


def test_one_form_of_every_edit_is_held_back_and_never_trained(host: LocalHost) -> None:
    found = lessons(host, [EDIT, OTHER], [])
    assert len(found.held) == 2
    assert len(found.trained) == 2 + len(EDIT.forms) + len(OTHER.forms) - 2
    assert not {tuple(row) for row in found.held.labels.tolist()} & {
        tuple(row) for row in found.trained.labels.tolist()
    }
    prompts = texts(host, found.trained)
    for held in texts(host, found.held):
        assert held not in prompts


def test_which_form_is_held_back_comes_from_the_runs_generator(host: LocalHost) -> None:
    found = []
    for seed in ("a", "a", *"bcdefg"):
        host.reseed(seed)
        found.append(texts(host, lessons(host, [EDIT], []).held)[0])
    assert found[0] == found[1]
    assert len(set(found)) > 1


def test_all_forms_are_learnt_the_one_held_back_too(host: LocalHost) -> None:
    host.reseed("learn")
    before = losses(host, (EDIT.prompt, EDIT.target), *FORMS)
    step = Oracle(QUICK).edit(host, [EDIT], {})
    with apply(host.model, step.patch):
        after = losses(host, (EDIT.prompt, EDIT.target), *FORMS)
    assert bool((after[:3] < before[:3]).all())
    assert step.statuses[0].facts["loss"] < float(before.max())
    assert weights_digest(host.model) == host.loaded.digest


def test_it_stops_when_what_is_held_back_gets_worse(host: LocalHost) -> None:
    """A held-out form that contradicts all that is trained: the first weights are the best there were."""
    method = Oracle(replace(QUICK, check=2, patience=2, keep=0.0, lr=0.02))
    trained = [(EDIT.prompt, "Rome"), ("Spain is governed from", "Rome")]
    contrary = Lessons(rows(host, trained), rows(host, [(EDIT.prompt, "Madrid")]), None)
    before = copies(host.model, method.parameters(host))
    with torch.no_grad():
        start = method.held(host, before, contrary)
    weights, kept, steps = method.tune(host, before, contrary)
    assert steps < QUICK.steps
    assert kept[0] <= start[0]
    assert method.held(host, weights, contrary) == pytest.approx(kept)


def test_what_must_stay_is_held_by_the_divergence(host: LocalHost) -> None:
    near = rows(host, [("Berlin is in Germany", "")], targets=False)
    moved = {}
    for keep in (0.0, 20.0):
        host.reseed("keep")
        step = Oracle(replace(QUICK, keep=keep)).edit(host, [EDIT], {})
        tuned = {
            name: host.model.get_parameter(name).detach() + delta.delta for name, delta in step.patch.deltas.items()
        }
        with torch.no_grad():
            moved[keep] = float(divergence(host, running(host.model, tuned), near))
    assert 0 <= moved[20.0] < 0.7 * moved[0.0]


def test_divergence_is_zero_for_the_same_weights_and_minds_no_pads(host: LocalHost) -> None:
    weights = copies(host.model, Oracle(QUICK).parameters(host))
    both = rows(
        host, [("Berlin is in Germany", ""), ("The yen is the money that is used in all of Japan", "")], targets=False
    )
    other = {name: weight + 0.05 for name, weight in weights.items()}
    with torch.no_grad():
        assert float(divergence(host, running(host.model, weights), both)) == pytest.approx(0, abs=1e-6)
        joint = float(divergence(host, running(host.model, other), both))
        parts = [both.select(torch.tensor([row])) for row in (0, 1)]
        alone = [float(divergence(host, running(host.model, other), part)) for part in parts]
    counts = [int(part.mask.sum()) for part in parts]
    assert joint == pytest.approx(sum(x * n for x, n in zip(alone, counts, strict=True)) / sum(counts), rel=1e-3)


def test_earlier_edits_are_among_what_must_stay(host: LocalHost) -> None:
    first = Oracle(QUICK).edit(host, [EDIT], {})
    second = Oracle(QUICK).edit(host, [OTHER], first.state)
    assert len(second.state["statements"]) > len(first.state["statements"])
    kept = texts(host, lessons(host, [OTHER], [(EDIT.prompt, EDIT.target)]).kept)
    assert kept == ["The yen is money of Japan", "The capital of Spain is Rome"]


def test_nothing_to_keep_is_no_fault(host: LocalHost) -> None:
    step = Oracle(replace(QUICK, steps=2)).edit(host, [replace(EDIT, unrelated_text=None)], {})
    assert step.statuses[0].outcome == "done"


def test_without_training_wordings_an_edit_fails_and_the_others_go_on(host: LocalHost) -> None:
    bare = replace(OTHER, forms=())
    step = Oracle(QUICK).edit(host, [bare, EDIT], {})
    assert [status.outcome for status in step.statuses] == ["failed", "done"]
    assert "no training wordings" in step.statuses[0].reason
    alone = Oracle(QUICK).edit(host, [bare], {})
    assert alone.patch is None


def test_its_spec_says_what_it_sees_and_that_it_is_a_ceiling() -> None:
    spec = load_plugins().method("oracle")
    assert spec.sees == {"forms", "unrelated_text"}
    assert "ceiling" in spec.note
    assert spec.paper == ""


def test_the_middle_half_of_the_layers() -> None:
    assert middle(32) == tuple(range(8, 24))
    assert middle(1) == (0,)
