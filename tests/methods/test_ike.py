"""IKE: its demonstrations, which are chosen, in which order, and how many fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.methods.in_context import cases, edits, pocket_host, prepared, same

from editharness.errors import UsageError
from editharness.host import LocalHost
from editharness.patch import RouterPatch, load, save
from editharness.types import Case, State
from editharness_plugins.methods.ice import Ice
from editharness_plugins.methods.ike import Ike, demonstrations
from editharness_plugins.methods.options.in_context import IceOptions, IkeOptions
from editharness_plugins.methods.telling import RetrievedFacts
from editharness_plugins.methods.texts import unpack_json

Start = tuple[LocalHost, State]


@pytest.fixture(scope="module")
def dev() -> tuple[Case, ...]:
    return cases("dev")


@pytest.fixture(scope="module")
def start() -> Start:
    host = pocket_host()
    return host, prepared(Ike(IkeOptions()), host, cases("train"))


def write(start: Start, chosen: tuple[Case, ...], **options: Any) -> RetrievedFacts:
    patch = Ike(IkeOptions(**options)).edit(start[0], edits(chosen), start[1]).patch
    assert isinstance(patch, RouterPatch)
    assert isinstance(patch.router, RetrievedFacts)
    return patch.router


def shown(found: RetrievedFacts, case: Case, text: str) -> list[str]:
    """The demonstrations before a text, after it is seen that the new fact comes last."""
    *demos, last = found.route(text)[0].split("\n\n")
    assert last == f"New Fact: {case.prompt} {case.target}\nPrompt: {text}"
    return [demo + "\n\n" for demo in demos]


def test_a_case_gives_copy_update_and_retain() -> None:
    case = cases("train")[0]
    fact, near = f"{case.prompt} {case.target}", case.neighbours[0]
    assert list(demonstrations(case, "new_fact")) == [
        f"New Fact: {fact}\nPrompt: {fact}\n\n",
        f"New Fact: {fact}\nPrompt: {case.paraphrases[0]} {case.target}\n\n",
        f"New Fact: {fact}\nPrompt: {near.prompt} {near.answer}\n\n",
    ]
    assert len(list(demonstrations(replace(case, paraphrases=(), neighbours=()), "imagine"))) == 1


def test_demonstrations_come_from_the_train_split_best_first(start: Start, dev: tuple[Case, ...]) -> None:
    found = write(start, dev, demos=4)
    corpus = unpack_json(start[1]["demos"])
    for place, case in enumerate(dev[:20]):
        demos = shown(found, case, case.prompt)
        chosen = [corpus[i] for i in found.config["facts"][place]["demos"]]
        assert 1 <= len(demos) <= 4
        assert demos == chosen[: len(demos)]
        assert not any(case.subject_text in demo for demo in chosen)
        asked = found._embedder.embed([f"New Fact: {case.prompt} {case.target}\nPrompt: {case.prompt}\n\n", *chosen])
        cosines = (asked[1:] @ asked[:1].T).toarray().ravel().tolist()
        assert cosines == sorted(cosines, reverse=True)


def test_a_demonstration_about_the_edited_subject_is_not_shown(start: Start, dev: tuple[Case, ...]) -> None:
    corpus = unpack_json(start[1]["demos"])
    named = [case for case in dev if any(case.subject_text in demo for demo in corpus)]
    assert named
    found = write(start, tuple(named), demos=len(corpus))
    for case, entry in zip(named, found.config["facts"], strict=True):
        assert [corpus[i] for i in entry["demos"] if case.subject_text in corpus[i]] == []
        assert len(entry["demos"]) > len(corpus) / 2


def test_the_order_can_be_turned_round(start: Start, dev: tuple[Case, ...]) -> None:
    first, last = (write(start, dev[:1], demos=3, order=order) for order in ("best_first", "best_last"))
    assert shown(last, dev[0], dev[0].prompt) == shown(first, dev[0], dev[0].prompt)[::-1]


def test_the_least_similar_are_left_out_until_it_fits(start: Start, dev: tuple[Case, ...]) -> None:
    host, case = start[0], dev[0]
    found = write(start, dev[:1], demos=16, threshold=None)
    corpus = unpack_json(start[1]["demos"])
    ranked = [corpus[i] for i in found.config["facts"][0]["demos"]]
    assert len(ranked) == 16
    counts = []
    for words in range(0, 120, 15):
        text = f"{case.prompt} the " * (words // 5) + case.prompt
        routed = found.route(text)[0]
        room = host.model.config.max_position_embeddings - 32
        if routed != text:
            demos = shown(found, case, text)
            counts.append(len(demos))
            assert demos == ranked[: len(demos)]
            assert len(host.tokenizer(routed)["input_ids"]) <= room
            assert len(host.tokenizer(ranked[len(demos)] + routed)["input_ids"]) > room
    assert counts == sorted(counts, reverse=True)
    assert 0 < counts[0] < 16


def test_without_demonstrations_it_is_ice(start: Start, dev: tuple[Case, ...]) -> None:
    host, state = start
    patch = Ice(IceOptions()).edit(host, edits(dev), state).patch
    assert isinstance(patch, RouterPatch)
    found = write(start, dev, demos=0)
    for case in dev:
        for text in (case.prompt, *case.paraphrases, case.neighbours[0].prompt):
            assert found.route(text) == patch.router.route(text)


def test_a_rebuilt_router_routes_alike_and_neighbours_are_left_alone(
    start: Start, dev: tuple[Case, ...], tmp_path: Path
) -> None:
    found = write(start, dev[:10])
    save(RouterPatch(found), tmp_path)
    back = load(tmp_path, {found.kind: RetrievedFacts})
    assert isinstance(back, RouterPatch)
    for case in dev[:10]:
        assert back.router.route(case.prompt) == found.route(case.prompt) != (case.prompt, "base")
    for near in dev[0].neighbours:
        assert back.router.route(near.prompt) == found.route(near.prompt) == (near.prompt, "base")


def test_prepare_is_deterministic_and_wants_cases(start: Start) -> None:
    host, state = start
    assert same(prepared(Ike(IkeOptions()), host, cases("train")), state)
    with pytest.raises(UsageError, match="train split: it is empty"):
        prepared(Ike(IkeOptions(threshold=0.5)), host, ())
