"""The kinds of modules and routers that a patch file of ours may name, and the recipe behind each.

    patch.load(folder, recipe_kinds())

A recipe's code is imported when its kind is first rebuilt. A recipe takes `tensors` and `config` by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from editharness_plugins.methods.families.places import CODE

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.patch import RecipeKinds

RECIPES: Mapping[str, str] = {
    "facts_in_context": f"{CODE}.context:FactsInContext",
    "retrieved_facts": f"{CODE}.telling:RetrievedFacts",
    "scoped_edits": f"{CODE}.serac:ScopedEdits",
    "grace": f"{CODE}.grace_layer:GraceRecipe",
    "wise": f"{CODE}.wise_layer:WiseRecipe",
    "t_patcher": f"{CODE}.t_patcher:PatchedRecipe",
}


def recipe_kinds(recipes: Mapping[str, str] = RECIPES) -> RecipeKinds:
    """What `patch.load` takes: kind -> the function that rebuilds its recipe."""
    return {kind: partial(_rebuild, reference) for kind, reference in recipes.items()}


def _rebuild(reference: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Any:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)(tensors=tensors, config=config)
