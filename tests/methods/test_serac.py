"""SERAC: its formula, its training and the resuming of it, its cache, and who answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.in_context import cases, edits, negated, pocket_host, prepared, same
from torch.nn import functional as F

from editharness.errors import OptionError, UsageError
from editharness.host import LocalHost
from editharness.models.load import load_model, weights_digest
from editharness.options import resolve_options
from editharness.patch import RouterPatch, load, save
from editharness.testing.tiny import save_tiny
from editharness.types import Case, Edit, State, Step
from editharness_plugins.methods.options.in_context import SeracOptions
from editharness_plugins.methods.serac import ScopedEdits, Serac
from editharness_plugins.methods.serac_models import scope_loss, scores, vectors
from editharness_plugins.methods.serac_training import Learner, lessons, schedule

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {"hidden": 16, "layers": 1, "heads": 2, "width": 48, "batch_size": 32}
SCOPED = SeracOptions(steps=180, scope_lr=0.03, **SMALL)
Start = tuple[LocalHost, State]


@pytest.fixture(scope="module")
def dev() -> tuple[Case, ...]:
    return cases("dev")


@pytest.fixture(scope="module")
def start() -> Start:
    """A scope classifier that is trained; the model that answers is too small to have learnt much."""
    host = pocket_host()
    return host, prepared(Serac(SCOPED), host, cases("train"))


def router(step: Step) -> ScopedEdits:
    assert isinstance(step.patch, RouterPatch)
    assert isinstance(step.patch.router, ScopedEdits)
    return step.patch.router


def write(start: Start, chosen: list[Edit]) -> ScopedEdits:
    return router(Serac(SCOPED).edit(start[0], chosen, start[1]))


@given(st.lists(st.lists(st.integers(0, 9), min_size=0, max_size=5), min_size=1, max_size=4))
def test_a_vector_is_the_sum_of_its_distinct_tokens(ids: list[list[int]]) -> None:
    table = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
    wanted = torch.stack([table[sorted(set(one))].sum(dim=0) for one in ids])
    torch.testing.assert_close(vectors(table, ids), wanted)


def test_the_score_and_its_loss_are_the_papers() -> None:
    q, e = torch.tensor([[0.3, 0.4]]), torch.tensor([[0.0, 0.0], [0.3, 0.4], [2.0, 1.0]])
    torch.testing.assert_close(scores(q, e), torch.tensor([0.25, 0.0, 3.25]).neg().exp())
    same_, other = torch.tensor([0.1, 0.5]), torch.tensor([0.2, 3.0])
    s, truth = torch.cat([same_, other]).neg().exp(), torch.tensor([1.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(scope_loss(same_, other), 2 * F.binary_cross_entropy(s, truth))
    assert torch.isfinite(scope_loss(torch.zeros(1), torch.zeros(1)))


def test_scope_on_real_texts(start: Start, dev: tuple[Case, ...]) -> None:
    found, edited = write(start, edits(dev)), {case.prompt for case in dev}
    paraphrases = [(place, text) for place, case in enumerate(dev) for text in case.paraphrases]
    neighbours = [near.prompt for case in dev for near in case.neighbours if near.prompt not in edited]
    assert all(found.find(case.prompt) == place for place, case in enumerate(dev))
    assert sum(found.find(text) == place for place, text in paraphrases) > 0.9 * len(paraphrases)
    assert sum(found.route(text) != (text, "base") for text in neighbours) < 0.05 * len(neighbours)


def test_a_text_in_scope_is_answered_by_the_second_model(start: Start, dev: tuple[Case, ...]) -> None:
    case = dev[0]
    found = write(start, edits(dev[:5]))
    for text in (case.prompt, case.paraphrases[0]):
        assert found.route(text) == (f"{case.prompt} {case.target} {text}", "counterfactual")
    assert found.route("Once upon a time") == ("Once upon a time", "base")
    assert found.route("") == ("", "base")


def test_an_answer_of_several_words_does_not_move_the_classifier(start: Start, dev: tuple[Case, ...]) -> None:
    one, many = (write(start, [replace(edits(dev[:1])[0], target=target)]) for target in ("Rome", "Rome or New York"))
    assert torch.equal(one.tensors["cache"], many.tensors["cache"])
    assert many.route(dev[0].prompt)[0].startswith(f"{dev[0].prompt} Rome or New York ")


def test_earlier_edits_stay_and_the_last_of_a_prompt_wins(start: Start, dev: tuple[Case, ...]) -> None:
    host, state = start
    method, chosen = Serac(SCOPED), edits(dev[:20])
    first = method.edit(host, chosen[:10], state)
    second = method.edit(host, chosen[10:], first.state)
    assert same(second.state, method.edit(host, chosen, state).state)
    assert all(router(second).find(edit.prompt) == place for place, edit in enumerate(chosen))
    again = router(method.edit(host, [replace(chosen[3], id="again", target="Atlantis")], second.state))
    assert again.route(chosen[3].prompt)[0] == f"{chosen[3].prompt} Atlantis {chosen[3].prompt}"
    assert len(router(first).config["facts"]) == 10


def test_a_negated_edit_is_cached_as_it_is_said(start: Start, dev: tuple[Case, ...]) -> None:
    edit = negated(dev[0])
    assert write(start, [edit]).route(edit.prompt)[0] == f"{edit.prompt} {edit.target} {edit.prompt}"


def test_a_rebuilt_router_routes_and_answers_alike(start: Start, dev: tuple[Case, ...], tmp_path: Path) -> None:
    host, _ = start
    found = write(start, edits(dev[:5]))
    save(RouterPatch(found), tmp_path)
    back = load(tmp_path, {found.kind: ScopedEdits})
    assert isinstance(back, RouterPatch)
    assert isinstance(back.router, ScopedEdits)
    for case in dev[:10]:
        assert back.router.route(case.prompt) == found.route(case.prompt)
    before = torch.random.get_rng_state()
    models = [one.answerer("counterfactual", host.model) for one in (found, back.router)]
    assert torch.equal(torch.random.get_rng_state(), before)
    ids = torch.tensor([host.tokenizer(found.route(dev[0].prompt)[0])["input_ids"]])
    ours, theirs = (model(input_ids=ids).logits for model in models)
    assert torch.equal(ours, theirs)
    assert ours.shape[-1] == host.model(input_ids=ids).logits.shape[-1]
    assert not any(p.requires_grad or p.isnan().any() for model in models for p in model.parameters())


def test_a_long_context_goes_to_the_base_model(start: Start, dev: tuple[Case, ...]) -> None:
    host, case = start[0], dev[0]
    found = write(start, edits(dev[:1]))
    for repeats in range(1, 60, 4):
        text = " ".join([case.prompt] * repeats)
        routed, who = found.route(text)
        length = len(host.tokenizer(routed)["input_ids"])
        assert (routed, who) == (text, "base") or length <= host.model.config.max_position_embeddings - 32
    assert who == "base"
    assert found.find(text) == 0


def test_an_edit_that_cannot_be_cached_fails_alone(start: Start, dev: tuple[Case, ...]) -> None:
    host, state = start
    good = edits(dev[:1])[0]
    bad = [replace(good, id="empty", target=" "), replace(good, id="long", target="{word}\n" * 300)]
    step = Serac(SCOPED).edit(host, [bad[0], good, bad[1]], state)
    assert [status.outcome for status in step.statuses] == ["failed", "done", "failed"]
    assert router(step).config["facts"] == [f"{good.prompt} {good.target}"]
    assert Serac(SCOPED).edit(host, bad, state).patch is None


class Killed(Exception):
    pass


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_killed_training_goes_on_to_the_same_state(family: str, tmp_path: Path) -> None:
    options = SeracOptions(**{**SMALL, "batch_size": 4}, steps=7, keep_every=2)
    method, train = Serac(options), cases("train")[:12]

    def kill(done: int, total: int, what: str) -> None:
        if done == 5:
            raise Killed

    loaded = load_model(str(save_tiny(family, tmp_path / "model")), device="cpu")
    before = torch.random.get_rng_state()
    whole = prepared(method, LocalHost(loaded, seed=0), train)
    dying, path = LocalHost(loaded, seed=0, progress=kill), tmp_path / "kept.safetensors"
    with dying.keeping(path), pytest.raises(Killed):
        prepared(method, dying, train)
    assert path.exists()
    host = LocalHost(loaded, seed=0)
    with host.keeping(path):
        resumed = prepared(method, host, train)
    assert same(resumed, whole)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert weights_digest(loaded.model) == loaded.digest
    assert not same(prepared(method, LocalHost(loaded, seed=1), train), whole)


def test_training_lowers_both_losses(tmp_path: Path) -> None:
    host = LocalHost(load_model(str(save_tiny("llama", tmp_path)), device="cpu"), seed=0)
    options = SeracOptions(**{**SMALL, "hidden": 32, "batch_size": 8}, steps=120, lr=0.01, scope_lr=0.03)
    learner = Learner(host, cases("train")[:40], options)
    losses = [learner.step() for _ in range(options.steps)]
    first, last = (torch.tensor(part).mean(dim=0) for part in (losses[:10], losses[-10:]))
    assert float(last[0]) < 0.5 * float(first[0])
    assert float(last[1]) < 0.8 * float(first[1])


def test_lessons_know_what_is_out_of_scope() -> None:
    train = cases("train")
    case = train[0]
    lesson = lessons(train)[0]
    assert lesson.inside[0] == lesson.prompt == case.prompt
    assert {near.prompt for near in case.neighbours} < set(lesson.outside)
    elsewhere = [text for text in lesson.outside if case.subject_text in text]
    assert len(elsewhere) == len({other.relation for other in train}) - 1
    assert case.prompt not in elsewhere
    unnamed = lessons([replace(other, relation="") for other in train])[0]
    assert set(unnamed.outside) == {near.prompt for near in case.neighbours}


def test_the_learning_rate_warms_up_and_falls() -> None:
    rates = [schedule(done, 1000) for done in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == rates[99] > 0.97
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert all(0 < schedule(done, 3) <= 1 for done in range(3))


def test_what_cannot_be_trained_is_one_line() -> None:
    with pytest.raises(UsageError, match="train split is empty"):
        prepared(Serac(SCOPED), pocket_host(), ())
    with pytest.raises(OptionError, match="multiple of twice heads"):
        resolve_options(SeracOptions, {"hidden": 100, "heads": 8}, {})
