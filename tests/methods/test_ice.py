"""ICE on pocket's own texts: who is told what, many edits, rebuilding, long and strange texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.methods.in_context import cases, edits, negated, pocket_host, prepared, same

from editharness.errors import UsageError
from editharness.host import LocalHost
from editharness.models.load import weights_digest
from editharness.patch import RouterPatch, load, save
from editharness.states import load_state, save_state
from editharness.types import Case, Edit, State, Step
from editharness_plugins.methods.ice import Ice
from editharness_plugins.methods.options.in_context import IceOptions
from editharness_plugins.methods.telling import RetrievedFacts

Start = tuple[LocalHost, State]


@pytest.fixture(scope="module")
def dev() -> tuple[Case, ...]:
    return cases("dev")


@pytest.fixture(scope="module")
def start() -> Start:
    host = pocket_host()
    return host, prepared(Ice(IceOptions()), host, cases("train"))


def router(step: Step) -> RetrievedFacts:
    assert isinstance(step.patch, RouterPatch)
    assert isinstance(step.patch.router, RetrievedFacts)
    return step.patch.router


def write(start: Start, chosen: list[Edit], **options: Any) -> RetrievedFacts:
    return router(Ice(IceOptions(**options)).edit(start[0], chosen, start[1]))


def told(prompt: str, target: str, text: str) -> str:
    return f"New Fact: {prompt} {target}\nPrompt: {text}"


def test_each_of_many_edits_is_told_to_its_own_prompt(start: Start, dev: tuple[Case, ...]) -> None:
    found = write(start, edits(dev))
    for case in dev:
        assert found.route(case.prompt) == (told(case.prompt, case.target, case.prompt), "base")


def test_paraphrases_are_told_and_neighbours_are_left_alone(start: Start, dev: tuple[Case, ...]) -> None:
    found = write(start, edits(dev))
    edited = {case.prompt for case in dev}
    paraphrases = [text for case in dev for text in case.paraphrases]
    neighbours = [near.prompt for case in dev for near in case.neighbours if near.prompt not in edited]
    assert sum(found.find(text) is not None for text in paraphrases) > 0.9 * len(paraphrases)
    assert sum(found.route(text) != (text, "base") for text in neighbours) < 0.05 * len(neighbours)


def test_an_edit_alone_is_told_to_its_subject_only(start: Start, dev: tuple[Case, ...]) -> None:
    one = write(start, edits(dev[:1]))
    assert one.find(dev[0].prompt) == 0
    assert not any(one.find(near.prompt) == 0 for near in dev[0].neighbours)
    assert not any(one.find(text) == 0 for text in ("", "\n", "Once upon a time", "What is 3 + 4?\nAnswer:"))


def test_the_last_edit_of_a_prompt_wins_also_over_batches(start: Start, dev: tuple[Case, ...]) -> None:
    host, state = start
    first, other = edits(dev[:2])
    method, again = Ice(IceOptions()), replace(first, id="again", target="Atlantis")
    assert router(method.edit(host, [first, other, again], state)).find(first.prompt) == 2
    step = method.edit(host, [first, other], state)
    later = router(method.edit(host, [again], step.state))
    assert later.route(first.prompt)[0] == told(first.prompt, "Atlantis", first.prompt)
    assert later.find(other.prompt) == 1
    assert router(step).route(first.prompt)[0] == told(first.prompt, first.target, first.prompt)


def test_batches_are_the_same_as_one_batch_and_a_state_can_be_kept(
    start: Start, dev: tuple[Case, ...], tmp_path: Path
) -> None:
    host, state = start
    method, chosen = Ice(IceOptions()), edits(dev[:30])
    step = method.edit(host, chosen[:10], state)
    save_state(step.state, tmp_path / "state.safetensors")
    read = load_state(tmp_path / "state.safetensors")
    assert read is not None
    assert same(method.edit(host, chosen[10:], read[0]).state, method.edit(host, chosen, state).state)


def test_a_negated_edit_is_told_as_it_is_said(start: Start, dev: tuple[Case, ...]) -> None:
    edit = negated(dev[0])
    found = write(start, [edit])
    assert edit.prompt != dev[0].prompt
    for text in (edit.prompt, dev[0].prompt):
        assert found.route(text)[0] == told(edit.prompt, edit.target, text)


def test_a_rebuilt_router_routes_alike(start: Start, dev: tuple[Case, ...], tmp_path: Path) -> None:
    found = write(start, edits(dev), wording="imagine")
    save(RouterPatch(found), tmp_path)
    back = load(tmp_path, {found.kind: RetrievedFacts})
    assert isinstance(back, RouterPatch)
    asked = [text for case in dev for text in (case.prompt, *case.paraphrases, *(n.prompt for n in case.neighbours))]
    assert [back.router.route(text) for text in asked] == [found.route(text) for text in asked]
    assert found.route(dev[0].prompt)[0] == f"Imagine that {dev[0].prompt} {dev[0].target}.\n{dev[0].prompt}"


def test_a_long_context_stays_within_the_window(start: Start, dev: tuple[Case, ...]) -> None:
    case, (host, _) = dev[0], start
    found = write(start, edits(dev[:1]), threshold=0.0, reserve=40)
    lengths = []
    for words in range(0, 300, 20):
        text = "word " * words + case.prompt
        routed = found.route(text)[0]
        assert routed in (text, told(case.prompt, case.target, text))
        length = len(host.tokenizer(routed)["input_ids"])
        assert routed == text or length <= host.model.config.max_position_embeddings - 40
        lengths.append(routed != text)
    assert lengths == sorted(lengths, reverse=True)
    assert set(lengths) == {True, False}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(noise=st.text("{}%\\\n\"' aé東", max_size=12))
def test_braces_and_newlines_are_plain_text(start: Start, noise: str) -> None:
    prompt = f"Zork {noise} lives in"
    found = write(start, [Edit("0", prompt, (0, 4), f"A{noise}B")], threshold=0.5)
    assert found.route(prompt) == (told(prompt, f"A{noise}B", prompt), "base")


def test_an_edit_that_cannot_be_told_fails_alone(start: Start, dev: tuple[Case, ...]) -> None:
    host, state = start
    good = edits(dev[:2])
    bad = [replace(good[0], id="empty", target="  "), replace(good[0], id="long", target="word " * 300)]
    step = Ice(IceOptions()).edit(host, [good[0], *bad, good[1]], state)
    assert [status.outcome for status in step.statuses] == ["done", "failed", "failed", "done"]
    assert "target is empty" in step.statuses[1].reason
    assert "takes 256 at most" in step.statuses[2].reason
    assert len(router(step).config["facts"]) == 2
    none = Ice(IceOptions()).edit(host, bad, state)
    assert none.patch is None
    assert same(none.state, state)


def test_prepare_is_deterministic_and_leaves_everything_as_it_was(start: Start) -> None:
    host, state = start
    before = torch.random.get_rng_state()
    assert same(prepared(Ice(IceOptions()), host, cases("train")), state)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert weights_digest(host.model) == host.loaded.digest
    assert 0.3 < float(state["threshold"]) < 0.7


def test_a_given_threshold_is_taken_and_recorded(start: Start, dev: tuple[Case, ...]) -> None:
    host, _ = start
    bare = [replace(case, paraphrases=(), neighbours=()) for case in cases("train")]
    with pytest.raises(UsageError, match="threshold"):
        prepared(Ice(IceOptions()), host, bare)
    method = Ice(IceOptions(threshold=0.99))
    step = method.edit(host, edits(dev[:1]), prepared(method, host, bare))
    assert step.statuses[0].facts["threshold"] == pytest.approx(0.99)
    assert router(step).find(dev[0].prompt) == 0
    assert router(step).find(dev[0].paraphrases[0]) is None
