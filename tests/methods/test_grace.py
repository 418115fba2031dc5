"""GRACE's codebook rule by rule, and where a value goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.models.spans import IGNORED
from editharness.patch import ModulePatch, apply
from editharness.rows import Rows, publishing
from editharness.types import Edit
from editharness_plugins.methods.grace import Grace
from editharness_plugins.methods.grace_layer import Codebook, Expand, GraceLayer, Replace, places
from editharness_plugins.methods.options.memories import GraceOptions

EPS = 1.0
OSLO, ROME = torch.tensor([5, 6]), torch.tensor([7])


def point(x: float) -> Tensor:
    return torch.tensor([x, 0.0, 0.0])


def book(*entries: tuple[float, Tensor]) -> Codebook:
    made = Codebook.of({}, 3, 2)
    for x, label in entries:
        made, _ = made.prepared(point(x), label, torch.zeros(2), EPS)
    return made


def test_a_far_query_gets_a_key_of_its_own() -> None:
    made, entry = book((0, OSLO)).prepared(point(2.5), OSLO, torch.ones(2), EPS)
    assert entry == 1
    assert made.radii.tolist() == [EPS, EPS]
    assert made.labels.tolist() == [[5, 6], [5, 6]]


@given(st.floats(1.001, 1.99))
def test_the_same_answer_widens_the_nearest_key(distance: float) -> None:
    made, entry = book((0, OSLO), (9, ROME)).prepared(point(distance), OSLO, torch.ones(2), EPS)
    assert (entry, len(made)) == (0, 2)
    assert float(made.radii[0]) == pytest.approx(distance, rel=1e-3)
    assert bool(made.look_up(point(distance)[None])[1]), "the edit that widened a ball lies in it"


def test_an_answer_inside_its_own_ball_changes_no_radius() -> None:
    made, entry = book((0, OSLO)).prepared(point(0.5), OSLO, torch.ones(2), EPS)
    assert entry == 0
    assert torch.equal(made.radii, torch.tensor([EPS]))


@given(st.floats(0.01, 1.99))
def test_another_answer_splits_the_ball(distance: float) -> None:
    made, entry = book((0, OSLO)).prepared(point(distance), ROME, torch.ones(2), EPS)
    assert entry == 1
    assert made.radii.tolist() == pytest.approx([distance / 2 - 1e-5, distance / 2], abs=1e-6)
    values, hit = made.look_up(torch.stack([point(0), point(distance)]))
    assert hit.tolist() == [True, True]
    assert values.tolist() == [[0, 0], [1, 1]]


def test_a_moving_average_moves_the_key_half_way() -> None:
    made, _ = book((0, OSLO)).prepared(point(1.5), OSLO, torch.ones(2), EPS, "moving_average")
    assert made.keys.tolist() == [[0.75, 0, 0]]
    assert float(made.radii[0]) == pytest.approx(1.5, rel=1e-3)


def test_a_new_answer_to_the_same_prompt_takes_its_entry_over() -> None:
    """Halving a distance of 0 would give a radius that no rounding can reach, and another below 0."""
    made, entry = book((4, OSLO), (13, ROME)).prepared(point(4 + 1e-5), ROME, torch.ones(2), EPS)
    assert (entry, len(made)) == (0, 2)
    assert made.radii.tolist() == [EPS, EPS]
    assert made.labels.tolist() == [[7, IGNORED], [7, IGNORED]]
    assert made.look_up(point(4)[None])[0].tolist() == [[1, 1]]


def test_answers_are_the_same_only_if_their_tokens_are() -> None:
    """Means of label rows, which the code compares, agree for [5, 6] and [6, 5], and depend on the prompt's length."""
    for label in (torch.tensor([6, 5]), torch.tensor([5]), torch.tensor([5, 6, 7])):
        assert len(book((0, OSLO)).prepared(point(0.5), label, torch.ones(2), EPS)[0]) == 2


def test_conflicts_are_with_the_nearest_key_and_not_with_another() -> None:
    """Labels that are prepended while keys are appended are those of other keys."""
    made = book((0, OSLO), (10, ROME), (20, OSLO))
    assert made.prepared(point(10.5), ROME, torch.ones(2), EPS)[1] == 1
    assert len(made.prepared(point(10.5), OSLO, torch.ones(2), EPS)[0]) == 4


@given(st.integers(30, 80), st.integers(0, 2**31))
def test_a_key_is_at_distance_zero_of_itself(count: int, seed: int) -> None:
    keys = 50 * torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))
    made = Codebook(keys, torch.zeros(count, 1), torch.zeros(count), torch.zeros(count, 1, dtype=torch.long))
    distance, index = made.nearest(keys)
    assert index.tolist() == list(range(count))
    assert not bool(distance.any())


@pytest.mark.parametrize(("which", "columns"), [("last", [3]), ("prompt", [1, 2]), ("all", [1, 2, 3, 4])])
def test_where_a_value_goes(which: Replace, columns: list[int]) -> None:
    now = Rows.of_scoring(torch.tensor([3]), torch.tensor([[0, 1, 1, 1, 1]]))
    assert places(now, which)[0].nonzero()[:, 0].tolist() == columns
    hit = Codebook(torch.zeros(1, 2), torch.full((1, 2), 9.0), torch.ones(1), OSLO[None])
    layer = GraceLayer(nn.Identity(), hit, which)
    with publishing(now):
        output = layer(torch.zeros(1, 5, 2))
    assert (output[0, :, 0] == 9).nonzero()[:, 0].tolist() == columns
    decoding = replace(now, mask=torch.ones(1, 1, dtype=torch.bool), phase="decode")
    with publishing(decoding):
        assert bool(layer(torch.zeros(1, 1, 2)).any()) is (which == "all")


def grace(**options: Any) -> Grace:
    return Grace(GraceOptions(layer=1, steps=20, eps=0.2, **options))


def test_a_module_that_is_not_told_where_the_prompt_ends_refuses(
    tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit]
) -> None:
    host = tiny_host("llama")
    patch = grace().edit(host, facts[:1], {}).patch
    assert patch is not None
    with apply(host.model, patch), pytest.raises(MethodError, match="must know where the prompt ends"):
        host.model(torch.tensor([[1, 2, 3]]))


def test_warm_values_begin_as_the_layers_output(tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit]) -> None:
    host = tiny_host("gpt2")
    prompts = host.encode(facts[:1])
    query, output = grace().seen(host, host.modules.down_projection(1), prompts)
    layer = host.model.get_submodule(host.modules.down_projection(1))
    torch.testing.assert_close(layer(query[None])[0], output)
    started = Grace(GraceOptions(layer=1, steps=1, lr=0.0, init="warm")).edit(host, facts[:1], {})
    assert torch.equal(started.state["values"][0], output)


def test_cold_values_are_drawn_from_the_hosts_generator(
    tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit]
) -> None:
    host = tiny_host("llama")
    still = Grace(GraceOptions(layer=1, steps=1, lr=0.0))
    before = torch.random.get_rng_state()
    host.rng.manual_seed(3)
    first = still.edit(host, facts[:1], {}).state["values"]
    host.rng.manual_seed(3)
    assert torch.equal(still.edit(host, facts[:1], {}).state["values"], first)
    assert not torch.equal(still.edit(host, facts[:1], {}).state["values"], first)
    assert 0 <= float(first.min()) < float(first.max()) < 1
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("module", ["down", "up"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_edit_is_left_out_where_the_model_answers_already(
    tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit], family: str, module: str
) -> None:
    host = tiny_host(family)
    method = Grace(GraceOptions(layer=2, steps=60, eps=0.2, only_wrong=True, module=module))  # type: ignore[arg-type]
    one_token = replace(facts[0], target="s")
    first = method.edit(host, [one_token], {})
    assert first.statuses[0].outcome == "done"
    assert isinstance(first.patch, ModulePatch)
    with apply(host.model, first.patch):
        again = method.edit(host, [one_token], first.state)
    assert (again.statuses[0].outcome, again.patch) == ("skipped", None)
    assert again.state is first.state


@pytest.mark.parametrize("expand", ["coverage", "moving_average"])
def test_the_same_fact_twice_is_one_key(
    tiny_host: Callable[[str], LocalHost], facts: Sequence[Edit], expand: Expand
) -> None:
    host = tiny_host("llama")
    first = grace(expand=expand).edit(host, facts[:1], {})
    again = grace(expand=expand).edit(host, facts[:1], first.state)
    assert again.statuses[0].facts["keys"] == 1
    assert again.statuses[0].facts["loss"] < first.statuses[0].facts["loss"]
