"""Where weights go: maps that are none, models that do not fit, and layers that accelerate offloads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import editharness as eh
from editharness.errors import MethodError, ModelError, UsageError
from editharness.host import LocalHost
from editharness.models.given import lent
from editharness.models.load import LoadedModel, load_model
from editharness.models.placing import devices, parse_place
from editharness.options import resolve_options
from editharness.patch import LowRank, WeightPatch, apply
from editharness.patch.per_row import fits, rooms
from editharness.patch.values import full
from editharness.registry import load_plugins
from editharness.testing.tiny import TEXT, save_tiny, tiny
from editharness.types import Edit

REGISTRY = load_plugins()
EDIT = Edit("0", "The capital of Germany is", (15, 22), "Madrid")
LOWER: Mapping[str, str] = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "cpu"}
UPPER = ("model.layers.2", "model.norm", "model.rotary_emb", "lm_head")
ON_DISK = json.dumps({**LOWER, **dict.fromkeys(UPPER, "disk")})


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.mark.parametrize("place", ["auto", '{"": "cpu"}', ON_DISK], ids=["auto", "one", "disk"])
def test_a_model_is_the_same_wherever_it_is(llama: Path, place: str) -> None:
    whole, placed = load_model(str(llama), device="cpu"), load_model(str(llama), device=place)
    assert placed.digest == whole.digest
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(placed.model(ids).logits, whole.model(ids).logits)
    if place == ON_DISK:
        assert placed.model.get_parameter("model.layers.2.mlp.down_proj.weight").is_meta


def test_a_cast_model_on_the_disk_is_the_cast_model(llama: Path) -> None:
    whole, placed = (load_model(str(llama), dtype="bfloat16", device=place) for place in ("cpu", ON_DISK))
    assert placed.digest == whole.digest
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(placed.model(ids).logits, whole.model(ids).logits)


@pytest.mark.parametrize(
    ("name", "given"),
    [("rome", {"layer": 1}), ("memit", {"layers": (0, 1)}), ("alphaedit", {"layers": (0, 1)}), ("ft-m", {"layer": 1})],
)
def test_layers_on_a_device_are_edited_below_layers_on_the_disk(llama: Path, name: str, given: dict[str, Any]) -> None:
    spec, made = REGISTRY.method(name), []
    for place in ("cpu", ON_DISK):
        host = LocalHost(load_model(str(llama), device=place), seed=0, texts=TEXT)
        extra = {} if name == "ft-m" else {"templates": 1}
        if name == "alphaedit":
            extra["threshold"] = float(host.moments(0, together=(0, 1)).spectrum[0].median())
        options = resolve_options(spec.options, {"steps": 3, "lr": 0.1, **given, **extra}, {})
        made.append(next(iter(REGISTRY.resolve(spec.ref)(options).edit_each(host, [EDIT], {}))).patch)
    for weight, delta in made[0].deltas.items():
        like = torch.zeros(32, 96)
        assert float(full(delta, like).norm()) > 0
        torch.testing.assert_close(full(made[1].deltas[weight], like), full(delta, like), rtol=1e-4, atol=1e-6)


def offloaded(llama: Path) -> LoadedModel:
    return load_model(str(llama), device=ON_DISK)


def test_a_layer_on_the_disk_cannot_be_edited(llama: Path) -> None:
    loaded, name = offloaded(llama), "model.layers.2.mlp.down_proj.weight"
    patch = WeightPatch({name: LowRank(torch.ones(32, 1), torch.ones(1, 96))})
    assert not fits(patch, rooms(loaded.model))
    wanted = f"{name} is offloaded and cannot be edited: put its layer on a device with --device-map"
    with pytest.raises(MethodError, match=wanted):
        apply(loaded.model, patch)
    host = LocalHost(loaded, seed=0, texts=TEXT)
    with pytest.raises(MethodError, match=wanted):
        host.original(name)


@pytest.mark.parametrize(
    ("name", "given"), [("memit", {"layers": (2,)}), ("ft-m", {"layer": 2}), ("rome", {"layer": 2})]
)
def test_a_method_that_would_write_there_says_so(llama: Path, name: str, given: dict[str, Any]) -> None:
    spec, host = REGISTRY.method(name), LocalHost(offloaded(llama), seed=0, texts=TEXT)
    method = REGISTRY.resolve(spec.ref)(resolve_options(spec.options, {"steps": 2, **given}, {}))
    with pytest.raises(MethodError, match="offloaded and cannot be edited"):
        list(method.edit_each(host, [EDIT], {}))


def test_a_model_whose_embedding_is_offloaded_is_refused(llama: Path) -> None:
    from accelerate import cpu_offload

    upside = json.dumps({**dict.fromkeys(LOWER, "disk"), **dict.fromkeys(UPPER, "cpu")})
    with pytest.raises(ModelError, match="its token embedding is offloaded"):
        load_model(str(llama), device=upside)
    model, tokenizer = tiny("llama")
    with pytest.raises(ModelError, match="its token embedding is offloaded"), lent(cpu_offload(model), tokenizer):
        pass


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ('{"model.layer.0": "cpu", "": "cpu"}', "device map: .*'model.layer.0'.*did you mean 'model.layers.0'"),
        ('{"model": "cpu"}', "1 weights have no device, first 'lm_head.weight'"),
        ('{"": "gpu"}', "device 'gpu': use cpu, cuda"),
        ('{"": "cuda:99"}', "is not there: torch sees"),
        ('{"": 99}', "device 'cuda:99' is not there"),
        ('{"": null}', "'' is at None"),
        ("{}", 'write {"MODULE": DEVICE'),
        ('{"": ', "is no JSON"),
        ("everywhere", "device 'everywhere': use cpu"),
    ],
)
def test_maps_that_are_none(llama: Path, place: str, text: str) -> None:
    with pytest.raises(ModelError, match=text) as refused:
        load_model(str(llama), device=place)
    assert "\n" not in str(refused.value)


def test_a_map_may_name_devices_and_the_disk() -> None:
    assert parse_place('{"a": "cpu", "b": "disk"}') == {"a": torch.device("cpu"), "b": "disk"}
    assert parse_place("auto") == "auto"
    assert parse_place("cpu") == torch.device("cpu")


def test_the_devices_of_a_model_are_those_of_its_layers() -> None:
    model, _ = tiny("llama")
    assert devices(model) == ("cpu",)
    model.hf_device_map = {"model.embed_tokens": 0, "model.layers.0": 0, "model.layers.1": 1, "lm_head": "disk"}
    assert devices(model) == ("0", "1")


def test_modules_of_a_methods_own_are_refused_on_several_devices(
    tmp_path: Path,
) -> None:
    model, tokenizer = tiny("llama")
    model.hf_device_map = {"model.embed_tokens": 0, "model.layers": 1}  # as accelerate leaves it
    with pytest.raises(UsageError, match=r"'grace' puts modules .* spread over 0, 1: give it one device"):
        eh.evaluate(model, "grace", "negation_pocket", tokenizer=tokenizer, edits=2, output=tmp_path, progress=False)
    assert not list(tmp_path.glob("*/record.json"))
