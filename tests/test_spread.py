"""A model spread over devices, told apart on one machine: the same numbers, and no tensor at a wrong place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance

from editharness.greedy import RowStop, greedy
from editharness.host import LocalHost
from editharness.lm import EditedLM
from editharness.models.given import lent
from editharness.models.modules import module_map
from editharness.options import resolve_options
from editharness.patch import LowRank, WeightPatch, apply
from editharness.patch.per_row import per_row
from editharness.patch.values import full
from editharness.registry import load_plugins
from editharness.testing.places import spread, telling_places
from editharness.testing.tiny import TEXT, tiny
from editharness.timeline import Timeline
from editharness.types import Edit

REGISTRY = load_plugins()
QUICK: Mapping[str, Any] = {"steps": 3, "lr": 0.1, "templates": 1}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "rome": {**QUICK, "layer": 1},
    "memit": {**QUICK, "layers": (0, 1)},
    "alphaedit": {**QUICK, "layers": (0, 1)},
    "ft-m": {"layer": 1, "steps": 3, "lr": 0.01},
}
EDITS = [
    Edit(str(i), prompt, (prompt.index(subject), prompt.index(subject) + len(subject)), target)
    for i, (prompt, subject, target) in enumerate(
        [("The official language of Norway is", "Norway", "French"), ("The capital of Germany is", "Germany", "Madrid")]
    )
]


def places(model: Any) -> dict[str, int]:
    """Embeddings and the first block at place 1, everything above at place 2; a tied head stays with its embedding."""
    modules = module_map(model)
    above = modules.blocks[0].rsplit(".", 2)[0]
    beside = [name for name, child in model.get_submodule(above).named_children() if child is not None]
    found = {f"{above}.{name}": 1 for name in beside if f"{above}.{name}.0" != modules.blocks[0]}
    found |= {name: 1 + (layer > 0) for layer, name in enumerate(modules.blocks)}
    return {**found, modules.final_norm: 2, modules.head: 1 if modules.tied else 2}


MORE = [pytest.param(name, marks=pytest.mark.slow) for name in ("gptj", "gpt_neox", "gemma2", "phi3", "olmo2")]


@pytest.fixture(params=["llama", "gpt2", *MORE])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any, Any]]:
    """A tiny model, the same one spread over two places, their tokenizer."""
    whole, tokenizer = tiny(request.param)
    other, _ = tiny(request.param)
    with telling_places():
        yield whole, spread(other, places(other)), tokenizer


def plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to("cpu")


def test_two_places_do_not_mix() -> None:
    with telling_places():
        one, two = torch.ones(2, device="cpu:1"), torch.ones(2).to("cpu:2")
        assert (one + 1).device == torch.device("cpu:1")
        assert plain(one + two.to(one.device)).tolist() == [2.0, 2.0]
        for mixed in (two, torch.ones(2), torch.tensor([0, 1])):
            with pytest.raises(RuntimeError, match="tensors of several devices"):
                one + mixed
        assert one[torch.tensor([0])].device == one.device, "indices may be the host's"
        with pytest.raises(RuntimeError, match="several devices"):
            one[torch.tensor([0]).to("cpu:2")]


def test_a_spread_model_says_the_same(pair: tuple[Any, Any, Any]) -> None:
    whole, other, tokenizer = pair
    ids = torch.tensor([tokenizer.encode("The capital of Kenya is")])
    assert {parameter.device.index for parameter in other.parameters()} == {1, 2}
    torch.testing.assert_close(plain(other(ids.to("cpu:1")).logits), whole(ids).logits)


@pytest.mark.parametrize("name", OPTIONS)
def test_an_edit_is_the_same(pair: tuple[Any, Any, Any], name: str) -> None:
    whole, other, tokenizer = pair
    spec, made = REGISTRY.method(name), []
    for model in (whole, other):
        with lent(model, tokenizer) as loaded:
            host = LocalHost(loaded, seed=0, texts=TEXT)
            given = dict(OPTIONS[name])
            if name == "alphaedit":
                given["threshold"] = float(host.moments(0, together=(0, 1)).spectrum[0].median())
            method = REGISTRY.resolve(spec.ref)(resolve_options(spec.options, given, {}))
            made.append([step.patch for step in method.edit_each(host, EDITS, {})])
    for ours, theirs in zip(*made, strict=True):
        for weight, delta in ours.deltas.items():
            like = torch.zeros_like(whole.get_parameter(weight))
            torch.testing.assert_close(
                plain(full(theirs.deltas[weight], like)), full(delta, like), rtol=1e-3, atol=1e-4
            )
            assert float(full(delta, like).norm()) > 0


def test_answers_are_the_same(pair: tuple[Any, Any, Any]) -> None:
    whole, other, tokenizer = pair
    prompts = [tokenizer(text).input_ids for text in ("Norway", "The capital of Kenya is", "I")]
    said = [greedy(model, prompts, 6, RowStop(tokenizer, ["a"]), tokenizer.pad_token_id) for model in (whole, other)]
    assert said[0] == said[1]
    scored = [
        Instance(request_type="loglikelihood", doc={}, arguments=(text, " Rome"), idx=0) for text in ("Norway", "I am")
    ]
    found = [
        [score for score, _ in EditedLM(Timeline(model), tokenizer).loglikelihood(scored)] for model in (whole, other)
    ]
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_rows_under_patches_of_their_own(pair: tuple[Any, Any, Any]) -> None:
    whole, other, _ = pair
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    for layer in (0, 2):
        name = module_map(whole).down_weight(layer)
        rows, columns = whole.get_parameter(name).shape
        patch = WeightPatch({name: LowRank(torch.ones(rows, 1), torch.ones(1, columns))})
        with apply(other, patch), apply(whole, patch):
            torch.testing.assert_close(plain(other(ids.to("cpu:1")).logits), whole(ids).logits)
        with per_row(whole, [patch, WeightPatch({})]), per_row(other, [patch, WeightPatch({})]):
            torch.testing.assert_close(plain(other(ids.to("cpu:1")).logits), whole(ids).logits)
