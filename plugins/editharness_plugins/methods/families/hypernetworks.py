"""Hypernetworks: trained to turn the gradient of a fact into a change of weights."""

from __future__ import annotations

from editharness.types import MethodSpec
from editharness_plugins.methods.families.places import CODE, PRESETS
from editharness_plugins.methods.options.hypernetworks import MalmenOptions, MendOptions, RleditOptions

METHODS: tuple[MethodSpec, ...] = (
    MethodSpec(
        name="mend",
        title="MEND",
        paper="arXiv 2110.11309",
        ref=f"{CODE}.mend:Mend",
        options=MendOptions,
        presets=PRESETS / "mend.yaml",
        trains=True,
        note="a trained net rewrites the gradient's factors, token by token",
    ),
    MethodSpec(
        name="malmen",
        title="MALMEN",
        paper="arXiv 2311.04661",
        ref=f"{CODE}.malmen:Malmen",
        options=MalmenOptions,
        presets=PRESETS / "malmen.yaml",
        trains=True,
        note="a trained net proposes shifts, one ridge regression per weight makes them",
    ),
    MethodSpec(
        name="rledit",
        title="RLEdit",
        paper="arXiv 2502.05759",
        ref=f"{CODE}.rledit:Rledit",
        options=RleditOptions,
        presets=PRESETS / "rledit.yaml",
        trains=True,
        note="MALMEN trained along a trajectory of edits; the paper has no negated edits, here they are edited alike",
    ),
)
