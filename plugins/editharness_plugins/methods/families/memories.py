"""Memories: modules that answer for the facts they hold and leave all else alone."""

from __future__ import annotations

from editharness.types import MethodSpec
from editharness_plugins.methods.families.places import CODE, PRESETS
from editharness_plugins.methods.options.memories import GraceOptions, TPatcherOptions, WiseOptions

METHODS: tuple[MethodSpec, ...] = (
    MethodSpec(
        name="grace",
        title="GRACE",
        paper="arXiv 2211.11031",
        ref=f"{CODE}.grace:Grace",
        options=GraceOptions,
        presets=PRESETS / "grace.yaml",
        max_batch=1,
        effect="modules",
        recipe=f"{CODE}.grace_layer:GraceRecipe",
        note="a codebook beside one layer; each row is decided at its last prompt token; eps is in raw activations",
    ),
    MethodSpec(
        name="wise",
        title="WISE",
        paper="arXiv 2405.14768",
        ref=f"{CODE}.wise:Wise",
        options=WiseOptions,
        presets=PRESETS / "wise.yaml",
        sees=frozenset({"unrelated_text"}),
        max_batch=1,
        effect="modules",
        recipe=f"{CODE}.wise_layer:WiseRecipe",
        note="side memories and a router; ours decides per row on the prompt, route=reference as the authors' code",
    ),
    MethodSpec(
        name="t-patcher",
        title="T-Patcher",
        paper="arXiv 2301.09785",
        ref=f"{CODE}.t_patcher:TPatcher",
        options=TPatcherOptions,
        presets=PRESETS / "t_patcher.yaml",
        max_batch=1,
        trains=True,
        effect="modules",
        recipe=f"{CODE}.t_patcher:PatchedRecipe",
        note="neurons beside the last MLP; for decoders defined by us: there is no reference code to compare with",
    ),
)
