"""Where a model's weights go: one device, or a map of modules to devices that accelerate spreads it by.

    parse_place("cuda:1"), parse_place("auto"), parse_place('{"model.embed_tokens": 0, "model.layers.0": 1, ...}')

A spread model runs as a whole; each layer's weights are edited on its own device, and everything that a method computes
with is where the embedding is. Weights that accelerate offloads (to "disk", or to the CPU beside a GPU) are fetched for
each pass and dropped again: such layers can be run, not edited.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from editharness.errors import ModelError, UnknownNameError

Place = torch.device | str | Mapping[str, "torch.device | str"]
"""A device, "auto", or module -> device or "disk"."""


def parse_device(name: str | None) -> torch.device:
    """The device of a name, checked to exist here; None: the first CUDA GPU, else the CPU. Raises ModelError."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise ModelError(f"device {name!r}: use cpu, cuda, cuda:N or mps")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= there:
        raise ModelError(f"device {name!r} is not there: torch sees {there} {device.type} device(s); try --device cpu")
    return device


def parse_place(text: str | None) -> Place:
    """A device's name, "auto" or a map as JSON; raises ModelError for a device that is not there."""
    if text == "auto":
        return "auto"
    if text is None or not text.startswith("{"):
        return parse_device(text)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ModelError(f"device map {text[:60]!r} is no JSON: {error}") from None
    if not isinstance(content, dict) or not content:
        raise ModelError('device map: write {"MODULE": DEVICE, ...}, for every module of the model')
    return {name: "disk" if where == "disk" else _device(name, where) for name, where in content.items()}


def _device(name: str, where: object) -> torch.device:
    if isinstance(where, bool) or not isinstance(where, (str, int)):
        raise ModelError(f"device map: {name!r} is at {where!r}: use a number, a device's name or disk")
    return parse_device(f"cuda:{where}" if isinstance(where, int) else where)


def check_modules(place: Mapping[str, Any], model: nn.Module) -> None:
    """Raise ModelError for a name in a map that `model` (it may be on meta) has not, and for weights left out."""
    known = {name for name, _ in model.named_modules()} | {name for name, _ in model.named_parameters()}
    for name in place:
        if name not in known:
            raise ModelError(f"device map: {UnknownNameError('module', name, known)}")
    weights = [name for name, _ in model.named_parameters()]
    left_out = [w for w in weights if not any(not part or w == part or w.startswith(f"{part}.") for part in place)]
    if left_out:
        raise ModelError(
            f"device map: {len(left_out)} weights have no device, first {left_out[0]!r}: "
            'name every module, or give the rest with "": DEVICE'
        )


def check_placed(model: nn.Module, name: str) -> None:
    """Raise ModelError for a model whose embedding is offloaded: nothing would say where its inputs go."""
    embedding = model.get_input_embeddings()  # type: ignore[operator]
    if any(parameter.is_meta for parameter in embedding.parameters()):
        raise ModelError(
            f"model {name!r}: its token embedding is offloaded, and a method needs it on a device: "
            "put it on one with --device-map, or give the model more memory"
        )


def devices(model: nn.Module) -> tuple[str, ...]:
    """The devices that a model's layers are on, by name; those on the disk count for none."""
    spread = getattr(model, "hf_device_map", None) or {"": next(model.parameters()).device}
    return tuple(sorted({str(where) for where in spread.values() if str(where) != "disk"}))


def held(model: nn.Module, name: str, tensor: Tensor) -> Tensor:
    """A tensor of the model's state, fetched if it is offloaded; raises ModelError where it cannot be found."""
    if not tensor.is_meta:
        return tensor
    owner, _, leaf = name.rpartition(".")
    hook = getattr(model.get_submodule(owner), "_hf_hook", None)
    maps = (getattr(one, "weights_map", None) for one in getattr(hook, "hooks", (hook,)))
    weights: Any = next((found for found in maps if found is not None), None)
    if weights is None:
        raise ModelError(f"{name} is on no device and accelerate has not offloaded it: load the model with its weights")
    fetched: Tensor = weights[leaf]
    return fetched.to(tensor.dtype)
