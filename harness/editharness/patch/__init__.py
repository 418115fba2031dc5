"""Patches: an edit as a value. Weight deltas add up, module and router patches replace their predecessor.

values     what a patch is; join, nbytes
writing    apply to a model and undo, bit for bit; fp32 masters
files      save and load: safetensors + JSON
"""

from editharness.patch.files import RecipeKinds, load, save
from editharness.patch.values import (
    AnsweringRouter,
    Dense,
    LowRank,
    ModulePatch,
    ModuleRecipe,
    Patch,
    RouterPatch,
    RouterRecipe,
    WeightPatch,
    join,
    nbytes,
)
from editharness.patch.writing import Masters, Undo, apply

__all__ = [
    "AnsweringRouter",
    "Dense",
    "LowRank",
    "Masters",
    "ModulePatch",
    "ModuleRecipe",
    "Patch",
    "RecipeKinds",
    "RouterPatch",
    "RouterRecipe",
    "Undo",
    "WeightPatch",
    "apply",
    "join",
    "load",
    "nbytes",
    "save",
]
