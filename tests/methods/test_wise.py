"""WISE: what is learnt where, how memories are put away and merged, and which of them answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from editharness.errors import MethodError, OptionError
from editharness.host import LocalHost
from editharness.models.capture import capture
from editharness.options import resolve_options
from editharness.rows import Rows, WholeSequence, publishing
from editharness.types import Edit
from editharness_plugins.methods.options.memories import WiseOptions
from editharness_plugins.methods.wise import Wise
from editharness_plugins.methods.wise_layer import Scorer, WholeWiseLayer, WiseLayer, WiseRecipe, project
from editharness_plugins.methods.wise_shards import Shards, ties

BASE = torch.zeros(2, 3)
OPTIONS = WiseOptions(layer=1, steps=15, alpha=0.5, beta=1.5, gamma=1.0, templates=2)


def told(edits: Sequence[Edit]) -> list[Edit]:
    return [replace(edit, unrelated_text="The currency of Japan is the yen.") for edit in edits]


def after(o: WiseOptions, scores: Sequence[float]) -> Shards:
    """Memories after edits with these scores; the i-th edit leaves the side memory full of i + 1."""
    shards, rng = Shards.of({}, BASE), torch.Generator().manual_seed(0)
    for index, score in enumerate(scores):
        shards = shards.opened(o, rng).learnt(torch.full_like(BASE, index + 1.0), score).closed(o)
    return shards


def test_the_lowest_score_of_a_shard_is_its_threshold() -> None:
    weights, lowest, unfinished = after(replace(OPTIONS, save_freq=5, merge_freq=5), [3.0, 1.0, 2.0]).read(OPTIONS)
    assert (weights[:, 0, 0].tolist(), lowest.tolist(), unfinished) == ([3.0], [1.0], True)


def test_a_finished_shard_is_put_away_and_the_next_begins_as_the_layer() -> None:
    o = replace(OPTIONS, save_freq=2, merge_freq=8)
    done = after(o, [3.0, 4.0])
    weights, lowest, unfinished = done.read(o)
    assert (weights[:, 0, 0].tolist(), lowest.tolist(), unfinished) == ([2.0], [3.0], False)
    opened = done.opened(o, torch.Generator().manual_seed(1))
    assert torch.equal(opened.side, BASE)
    assert not torch.equal(opened.mask, done.mask)
    weights, lowest, unfinished = after(o, [3.0, 4.0, 9.0]).read(o)
    assert (weights[:, 0, 0].tolist(), lowest.tolist(), unfinished) == ([3.0, 2.0], [9.0, 3.0], True)


def test_the_last_shards_are_merged_and_keep_the_lower_threshold() -> None:
    o = replace(OPTIONS, save_freq=1, merge_freq=2, density=1.0)
    weights, lowest, _ = after(o, [3.0, 4.0, 6.0, 5.0]).read(o)
    assert (weights[:, 0, 0].tolist(), lowest.tolist()) == ([1.5, 3.5], [3.0, 5.0])


def test_without_retrieval_all_shards_are_one_and_share_a_threshold() -> None:
    o = replace(OPTIONS, save_freq=1, merge_freq=2, density=1.0, retrieve=False)
    weights, lowest, _ = after(o, [3.0, 4.0]).read(o)
    assert (weights[:, 0, 0].tolist(), lowest.tolist()) == ([1.5], [3.0])
    weights, lowest, _ = after(o, [3.0, 4.0, 6.0, 5.0]).read(o)
    assert weights[:, 0, 0].tolist() == pytest.approx([0.2 * 3 + 0.2 * 4 + 0.6 * 1.5])
    assert lowest.tolist() == [3.0]
    weights, lowest, unfinished = after(replace(o, save_freq=2, merge_freq=4), [3.0, 4.0, 9.0]).read(
        replace(o, save_freq=2, merge_freq=4)
    )
    assert (weights[:, 0, 0].tolist(), lowest.tolist(), unfinished) == ([3.0, 2.0], [3.0, 3.0], True)


@given(st.integers(1, 5), st.floats(0.05, 1.0), st.integers(0, 2**31))
def test_ties_is_trim_elect_and_mean(count: int, density: float, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    base = torch.randn(4, 5, generator=rng)
    deltas = torch.randn(count, 4, 5, generator=rng)
    merged = ties(base, base + deltas, torch.full((count,), 1 / count), density) - base
    kept = int(density * 20)
    trimmed = []
    for delta in deltas:
        least = sorted((abs(x) for x in delta.flatten().tolist()), reverse=True)[:kept]
        trimmed.append([[x if least and abs(x) >= least[-1] else 0.0 for x in row] for row in delta.tolist()])
    for i in range(4):
        for j in range(5):
            column = [delta[i][j] for delta in trimmed]
            sign = 1 if sum(column) >= 0 else -1
            agree = [x for x in column if x * sign > 0]
            wanted = sum(agree) / len(agree) if agree else 0.0
            assert float(merged[i, j]) == pytest.approx(wanted, abs=1e-5)


def layer(
    weights: Tensor, lowest: Sequence[float], *, side: bool, whole: bool = False, long: int | None = None
) -> WiseLayer:
    original = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(original.weight)
    kind = WholeWiseLayer if whole else WiseLayer
    return kind(original, weights, torch.tensor(lowest), Scorer("relu", long), 1.0, side)


def memories(*scales: float) -> Tensor:
    """Weights [1, 2] of memories whose score of a row of ones is the scale."""
    return torch.tensor([[[scale, 0.0]] for scale in scales])


@pytest.mark.parametrize(
    ("scales", "lowest", "side", "chosen"),
    [
        ((2.0,), (1.0,), True, 0),
        ((0.9,), (1.0,), True, -1),
        ((2.0, 3.0), (1.0, 1.0), True, 1),
        ((2.0, 3.0), (1.0, 4.0), True, 0),  # a memory that does not reach its threshold does not compete
        ((5.0, 3.0), (6.0, 1.0), True, -1),  # but the side memory does
        ((5.0, 3.0), (6.0, 1.0), False, 1),
    ],
)
def test_which_memory_answers(scales: tuple[float, ...], lowest: tuple[float, ...], side: bool, chosen: int) -> None:
    hidden = torch.ones(1, 3, 2)
    made = layer(memories(*scales), lowest, side=side)
    with publishing(Rows.of_scoring(torch.tensor([3]), torch.ones(1, 3))):
        output = made(hidden)
    assert output[0, :, 0].tolist() == [0.0 if chosen < 0 else scales[chosen]] * 3


def test_a_row_is_decided_by_its_own_prompt() -> None:
    """One decision for the whole batch, and padding that counts, would make both rows alike."""
    hidden = torch.tensor([[[2.0, 0], [2, 0], [0, 0], [0, 0]], [[9.0, 0], [9, 0], [0, 0], [2, 0]]])
    mask = torch.tensor([[1, 1, 1, 0], [0, 0, 1, 1]])
    now = Rows.of_scoring(torch.tensor([2, 1]), mask)
    made = layer(memories(1.0), (1.0,), side=True)
    with publishing(now):
        assert made(hidden)[:, :, 0].tolist() == [[2, 2, 0, 0], [0, 0, 0, 0]]
    whole = layer(memories(1.0), (1.0,), side=True, whole=True)
    with publishing(now):
        assert whole(hidden)[:, :, 0].tolist() == [[2, 2, 0, 0], [9, 9, 0, 2]]


def test_a_decision_is_held_while_tokens_are_generated() -> None:
    made = layer(memories(1.0), (1.0,), side=True)
    mask = torch.ones(2, 2, dtype=torch.bool)
    prefill = Rows(mask, mask, "prefill")
    token = torch.ones(2, 1, dtype=torch.bool)
    with publishing(prefill):
        made(torch.tensor([[[2.0, 0], [2, 0]], [[0.5, 0], [0.5, 0]]]))
    with publishing(Rows(token, ~token, "decode", prefill.memo)):
        said = made(torch.tensor([[[0.1, 0]], [[9.0, 0]]]))
    assert said[:, 0, 0].tolist() == pytest.approx([0.1, 0.0])
    whole = layer(memories(1.0), (1.0,), side=True, whole=True)
    assert isinstance(whole, WholeSequence)
    with publishing(Rows(token, ~token, "decode", prefill.memo)), pytest.raises(MethodError, match="without a cache"):
        whole(torch.ones(2, 1, 2))


@pytest.mark.parametrize(("long", "answers"), [(None, False), (3, False), (2, True)])
def test_long_texts_are_scored_by_their_largest_token(long: int | None, answers: bool) -> None:
    made = layer(memories(1.0), (1.0,), side=True, long=long)
    hidden = torch.tensor([[[0.0, 0], [0, 0], [2, 0]]])
    with publishing(Rows.of_scoring(torch.tensor([3]), torch.ones(1, 3))):
        assert bool(made(hidden).any()) is answers


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_only_masked_entries_move_and_no_further_than_the_norm(
    tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit], family: str
) -> None:
    host = tiny_host(family)
    step = Wise(replace(OPTIONS, norm=0.05)).edit(host, told(facts[:1]), {})
    change = step.state["side"] - host.original(host.modules.down_weight(1))
    assert not bool(change[~step.state["mask"]].any())
    assert 0.04 < float(change.abs().max()) <= 0.05 + 1e-6
    assert float(step.state["mask"].float().mean()) == pytest.approx(0.2, abs=0.03)


def test_margins_count_where_they_bind() -> None:
    method = Wise(replace(OPTIONS, alpha=1.0, beta=3.0, gamma=2.0))
    inside, outside = torch.tensor([4.0, 2.0]), torch.tensor([1.5])
    # outside − inside + γ = −0.5 and 1.5; outside − α = 0.5; β − inside = −1 and 1
    assert float(method.margins(inside, outside)) == pytest.approx(1.5 + 0.5 + 1.0)
    assert float(method.margins(torch.tensor([9.0]), torch.tensor([0.0]))) == 0.0


def test_an_edit_reaches_its_own_threshold(tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit]) -> None:
    """A mean over contexts would lie above the score of the bare prompt, which is what is asked."""
    host = tiny_host("llama")
    step = Wise(replace(OPTIONS, act_ratio=1.0, steps=25)).edit(host, told(facts[:1]), {})
    assert step.patch is not None
    path = host.modules.down_projection(1)
    recipe = step.patch.swaps[path]  # type: ignore[union-attr]
    assert isinstance(recipe, WiseRecipe)
    prompts = host.encode(facts[:1], targets=False)
    built = recipe.build(host.model.get_submodule(path))
    assert isinstance(built, WiseLayer)
    with torch.no_grad(), capture(host.model, {path: "input"}) as seen:
        host.model(input_ids=prompts.ids, attention_mask=prompts.mask)
    built.ratio = 1 - 1e-4
    assert built.choose(seen[path], prompts.mask).tolist() == [0]


def test_it_needs_a_text_about_something_else(tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit]) -> None:
    step = Wise(OPTIONS).edit(tiny_host("llama"), facts[:1], {})
    assert step.statuses[0].outcome == "failed"
    assert "needs a text about something else" in step.statuses[0].reason


def test_merging_in_the_middle_of_a_shard_is_refused() -> None:
    with pytest.raises(OptionError, match="multiple of save_freq"):
        resolve_options(WiseOptions, {}, {"save_freq": "4", "merge_freq": "6"})


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("role", ["down", "up"])
def test_a_memory_keeps_the_layers_bias_and_orientation(
    tiny_host: Callable[[str], LocalHost], family: str, role: Literal["down", "up"]
) -> None:
    host = tiny_host(family)
    linear = host.model.get_submodule(host.modules.projection(1, role))
    weight = linear.get_parameter("weight")
    width = weight.shape[0] if family == "gpt2" else weight.shape[1]
    hidden = torch.randn(2, 3, width, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(project(linear, weight, hidden), linear(hidden))
    doubled = project(linear, 2 * weight, hidden)
    nothing = linear(torch.zeros_like(hidden))
    torch.testing.assert_close(doubled - nothing, 2 * (linear(hidden) - nothing), atol=1e-5, rtol=1e-5)
