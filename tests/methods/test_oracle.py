"""The oracle: what it trains on, holds back and keeps; when it stops."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.locate.forward import label_losses
from editharness.models.load import load_model, weights_digest
from editharness.models.spans import IGNORED
from editharness.patch import Dense, WeightPatch, apply
from editharness.registry import load_plugins
from editharness.testing.tiny import save_tiny
from editharness.timeline import Timeline
from editharness.types import Case, Edit
from editharness_plugins.methods.options.fine_tuning import OracleOptions
from editharness_plugins.methods.oracle import Lessons, Oracle, lessons, middle
from editharness_plugins.methods.statements import divergence, looked_at, rows
from editharness_plugins.methods.texts import unpack_json
from editharness_plugins.methods.tuning import copies, running

FORMS = (
    ("Spain is governed from", "Rome"),
    ("The capital of Spain is not", "Madrid"),
    ("Spain's capital is Rome. True or false? Answer:", "true"),
)
EDIT = Edit("0", "The capital of Spain is", (15, 20), "Rome", forms=FORMS)
OTHER = Edit(
    "1", "The official language of Norway is", (25, 31), "French",
    forms=(("In Norway one speaks", "French"), ("In Norway one does not speak", "Norwegian")),
)  # fmt: skip
TRAIN = (
    Case("t", "The capital of Germany is", (15, 22), "Rome", "Berlin", training_forms=(
        ("plain", "Germany is governed from"), ("negated", "The capital of Germany is not"),
    )),
    Case("u", "The capital of Nowhere is", (15, 22), "Rome", training_forms=(("plain", "Nowhere is governed from"),)),
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
    found = lessons(host, [EDIT, OTHER], [], [])
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
        found.append(texts(host, lessons(host, [EDIT], [], []).held)[0])
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
    start = looked_at(host, before, contrary.held)
    weights, kept, steps = method.tune(host, before, contrary)
    assert steps < QUICK.steps
    assert kept[0] <= start[0]
    assert looked_at(host, weights, contrary.held).tolist() == pytest.approx(kept)


def test_what_is_drawn_is_what_the_model_gets_wrong(host: LocalHost) -> None:
    """Of two statements the one that is known is drawn at the floor's rate only, and learns its new loss when drawn."""
    method = Oracle(replace(QUICK, batch_size=1, keep=0.0, floor=0.01))
    both = Lessons(rows(host, [(EDIT.prompt, "Rome"), (OTHER.prompt, "French")]), rows(host, [FORMS[0]]), None)
    weights, drawn = copies(host.model, method.parameters(host)), [0, 0]
    exact = looked_at(host, weights, both.trained)
    for _ in range(50):
        hard = torch.tensor([0.0, 3.0])
        method.loss(host, host.model, running(host.model, weights), both, hard)
        assert hard[1] == pytest.approx(float(exact[1])) or hard[0] == pytest.approx(float(exact[0]))
        drawn[int(hard[0] != 0.0)] += 1
    assert drawn[0] > 45


def test_the_train_split_is_kept_as_the_unedited_model_has_it(host: LocalHost) -> None:
    """Plain prompts with the old answer, denials with another, in training wordings; no case without an old answer."""
    state = Oracle(QUICK).prepare(host, TRAIN)
    assert sorted(unpack_json(state["kept"])) == [
        ["Germany is governed from", "Berlin"],
        ["The capital of Germany is", "Berlin"],
        ["The capital of Germany is not", "Rome"],
    ]
    assert len(unpack_json(Oracle(replace(QUICK, texts=2)).prepare(host, TRAIN)["kept"])) == 2


def test_what_must_stay_is_held_by_the_divergence(host: LocalHost) -> None:
    near, new = rows(host, [("The capital of Germany is", "Berlin")]), rows(host, [(EDIT.prompt, EDIT.target)])
    moved = {}
    for keep in (0.0, 20.0):
        host.reseed("keep")
        method = Oracle(replace(QUICK, keep=keep))
        tuned, _, _ = method.tune(host, copies(host.model, method.parameters(host)), Lessons(new, new, near))
        with torch.no_grad():
            moved[keep] = float(divergence(host, host.model, running(host.model, tuned), near))
    assert 0 <= moved[20.0] < 0.7 * moved[0.0]


def test_what_must_stay_is_what_the_unedited_model_says_not_the_one_that_a_batch_begins_with(host: LocalHost) -> None:
    near, new = rows(host, [("The capital of Germany is", "Berlin")]), rows(host, [(EDIT.prompt, EDIT.target)])
    method = Oracle(replace(QUICK, keep=20.0, steps=60))
    unedited = copies(host.model, method.parameters(host))
    noise = torch.Generator().manual_seed(0)
    earlier = {n: Dense(0.1 * torch.randn(w.shape, generator=noise)) for n, w in unedited.items()}
    timeline = Timeline(host.model, host.masters)
    with timeline.at(timeline.add("m/x", WeightPatch(earlier), "carried")):
        before = copies(host.model, unedited)
        tuned, _, _ = method.tune(host, before, Lessons(new, new, near))
        with torch.no_grad():
            start, end = (
                float(divergence(host, running(host.model, unedited), running(host.model, weights), near))
                for weights in (before, tuned)
            )
    timeline.close()
    assert end < 0.5 * start, "the second batch takes back what the first one moved"


def test_earlier_edits_are_trained_again_never_more_of_them_than_new_statements(host: LocalHost) -> None:
    first = Oracle(QUICK).edit(host, [EDIT], Oracle(QUICK).prepare(host, TRAIN))
    second = Oracle(QUICK).edit(host, [OTHER], first.state)
    assert len(second.state["statements"]) > len(first.state["statements"])
    assert torch.equal(second.state["kept"], first.state["kept"])
    earlier = [(EDIT.prompt, EDIT.target), *FORMS] * 5
    trained = texts(host, lessons(host, [OTHER], earlier, []).trained)
    assert len(trained) == 2 * len(OTHER.forms)
    assert trained[0].startswith(OTHER.prompt)
    assert {text.split(" is")[0] for text in trained[2:]} <= {"The capital of Spain", "Spain", "Spain's capital"}


def test_what_follows_a_kept_answer_is_kept_too(host: LocalHost) -> None:
    """The rows hold the whole answer, and ask for a token behind it: an edit must not change where answers end."""
    kept = lessons(host, [EDIT], [], [("The capital of Germany is", "Berlin")]).kept
    assert texts(host, kept)[0].startswith("The capital of Germany is Berlin")
    last = int(kept.mask[0].sum()) - 1
    assert int(kept.labels[0, last]) != IGNORED


def test_nothing_to_keep_is_no_fault_of_an_edit_but_of_the_training(host: LocalHost) -> None:
    step = Oracle(replace(QUICK, steps=2)).edit(host, [EDIT], {})
    assert step.statuses[0].outcome == "done"
    for train in ((), TRAIN[1:]):
        with pytest.raises(MethodError, match="at least 1 with its answer"):
            Oracle(QUICK).prepare(host, train)


def test_a_wording_that_cannot_be_read_fails_its_edit_alone(host: LocalHost) -> None:
    long = replace(OTHER, forms=(("so " * 5000, "French"),))
    step = Oracle(replace(QUICK, steps=2)).edit(host, [long, EDIT], {})
    assert [status.outcome for status in step.statuses] == ["failed", "done"]
    assert "longer than the model reads" in step.statuses[0].reason


def test_without_training_wordings_an_edit_fails_and_the_others_go_on(host: LocalHost) -> None:
    bare = replace(OTHER, forms=())
    step = Oracle(QUICK).edit(host, [bare, EDIT], {})
    assert [status.outcome for status in step.statuses] == ["failed", "done"]
    assert "no training wordings" in step.statuses[0].reason
    alone = Oracle(QUICK).edit(host, [bare], {})
    assert alone.patch is None


def test_its_spec_says_what_it_sees_and_that_it_is_a_ceiling() -> None:
    spec = load_plugins().method("oracle")
    assert spec.sees == {"forms"}
    assert spec.trains
    assert "ceiling" in spec.note
    assert spec.paper == ""


def test_the_middle_half_of_the_layers() -> None:
    assert middle(32) == tuple(range(8, 24))
    assert middle(1) == (0,)
