"""Patches on disk: patch.safetensors (tensors) and patch.json (what they are). Never pickle.

A module or router comes back through `kinds`: kind -> function (tensors, config) -> recipe, given by who loads it, so
that a file can never choose which code runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from editharness.errors import RecordError, UnknownNameError
from editharness.patch.values import Dense, LowRank, ModulePatch, Patch, RouterPatch, WeightPatch

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.patch.values import ModuleRecipe, RouterRecipe

RecipeKinds = Mapping[str, "Callable[[Mapping[str, Tensor], Mapping[str, Any]], ModuleRecipe | RouterRecipe]"]
JSON, TENSORS = "patch.json", "patch.safetensors"
VERSION = 1


def save(patch: Patch, folder: Path) -> None:
    """Write `patch` into `folder` (made if need be; a patch that is there is replaced). Raises RecordError."""
    from safetensors.torch import save_file

    described, tensors = pack(patch)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        save_file(ready, folder / (TENSORS + ".new"))
        text = json.dumps({"format": "editharness-patch", "version": VERSION, **described}, indent=1, sort_keys=True)
        (folder / (JSON + ".new")).write_text(text + "\n", encoding="utf-8")
        for name in (TENSORS, JSON):
            os.replace(folder / (name + ".new"), folder / name)
    except OSError as error:
        raise RecordError(f"patch cannot be written to {folder}: {error.strerror or error}") from error
    except TypeError as error:
        raise RecordError(f"patch cannot be written to {folder}: its config is not JSON ({error})") from error


def load(folder: Path, kinds: RecipeKinds | None = None) -> Patch:
    """Read what `save` wrote; tensors come on the CPU. Raises RecordError, or UnknownNameError for a recipe's kind."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        described = json.loads((folder / JSON).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name if error.filename else TENSORS
        raise RecordError(f"no patch in {folder}: {missing} is missing") from None
    except (OSError, ValueError, SafetensorError) as error:
        raise RecordError(f"the patch in {folder} cannot be read: {error}") from error
    if not isinstance(described, dict) or described.get("format") != "editharness-patch":
        raise RecordError(f"{folder / JSON} does not describe a patch")
    if described.get("version") != VERSION:
        raise RecordError(f"the patch in {folder} has version {described.get('version')}, this program reads {VERSION}")
    try:
        return unpack(described, tensors, kinds or {})
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"the patch in {folder} is not whole: {error}") from error


def pack(patch: Patch) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A patch as JSON and tensors."""
    if isinstance(patch, WeightPatch):
        return _pack_weights(patch)
    if isinstance(patch, ModulePatch):
        recipes, effect = dict(patch.swaps), "modules"
    else:
        recipes, effect = {"router": cast("ModuleRecipe", patch.router)}, "router"
    entries = {
        name: {"kind": recipe.kind, "config": dict(recipe.config), "tensors": sorted(recipe.tensors)}
        for name, recipe in recipes.items()
    }
    tensors = {f"{name}/{key}": tensor for name, recipe in recipes.items() for key, tensor in recipe.tensors.items()}
    return {"effect": effect, "entries": entries}, tensors


def _pack_weights(patch: WeightPatch) -> tuple[dict[str, Any], dict[str, Tensor]]:
    tensors: dict[str, Tensor] = {}
    for name, delta in patch.deltas.items():
        if isinstance(delta, Dense):
            tensors[f"{name}/delta"] = delta.delta
        else:
            tensors[f"{name}/a"], tensors[f"{name}/b"] = delta.a, delta.b
    entries = {name: "dense" if isinstance(delta, Dense) else "low_rank" for name, delta in patch.deltas.items()}
    return {"effect": "weights", "entries": entries}, tensors


def unpack(described: Mapping[str, Any], tensors: Mapping[str, Tensor], kinds: RecipeKinds) -> Patch:
    """What `pack` was given; raises UnknownNameError for a recipe of no kind in `kinds`."""
    effect, entries = described["effect"], described["entries"]
    if effect == "weights":
        return WeightPatch({name: _delta(name, form, tensors) for name, form in entries.items()})
    if effect not in ("modules", "router"):
        raise KeyError(f"unknown effect {effect!r}")
    recipes = {name: _recipe(name, entry, tensors, kinds) for name, entry in entries.items()}
    return ModulePatch(recipes) if effect == "modules" else RouterPatch(cast("RouterRecipe", recipes["router"]))


def _delta(name: str, form: str, tensors: Mapping[str, Tensor]) -> LowRank | Dense:
    if form == "dense":
        return Dense(tensors[f"{name}/delta"])
    if form == "low_rank":
        return LowRank(tensors[f"{name}/a"], tensors[f"{name}/b"])
    raise KeyError(f"{name} is {form!r}, neither dense nor low_rank")


def _recipe(name: str, entry: Mapping[str, Any], tensors: Mapping[str, Tensor], kinds: RecipeKinds) -> Any:
    if entry["kind"] not in kinds:
        raise UnknownNameError("recipe kind", str(entry["kind"]), kinds, "(install the plugin that made this patch)")
    return kinds[entry["kind"]]({key: tensors[f"{name}/{key}"] for key in entry["tensors"]}, entry["config"])
