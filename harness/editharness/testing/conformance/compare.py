"""When two patches are the same, and how far apart they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from editharness.patch import Dense, Patch, WeightPatch
from editharness.testing.conformance.facts import QUESTIONS
from editharness.testing.conformance.trial import Trial, same_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.patch import LowRank

NEAR_WEIGHTS = 1e-2
"""Largest distance of two weight patches that count as equal: a search by Adam magnifies the last bits of fp32."""

NEAR_ANSWERS = 1e-2
"""Largest difference of two log-probabilities that count as equal."""


def parts(patch: Patch | None) -> tuple[Mapping[str, Tensor], str]:
    """All tensors of a patch by name, and all else that it consists of as JSON."""
    if patch is None:
        return {}, ""
    if isinstance(patch, WeightPatch):
        named = {name: _factors(delta) for name, delta in patch.deltas.items()}
        return {f"{name}/{key}": value for name, held in named.items() for key, value in held.items()}, ""
    recipes = recipes_of(patch)
    found = {f"{name}/{key}": value for name, recipe in recipes.items() for key, value in recipe.tensors.items()}
    facts = {name: [recipe.kind, recipe.config] for name, recipe in recipes.items()}
    return found, json.dumps(facts, sort_keys=True, default=str)


def recipes_of(patch: Patch) -> Mapping[str, Any]:
    """The recipes of a module or router patch by place."""
    if isinstance(patch, WeightPatch):
        return {}
    return {"router": patch.router} if not hasattr(patch, "swaps") else patch.swaps


def bitwise(one: Patch | None, other: Patch | None) -> str:
    """ "" where two patches are the same to the bit, else the first difference."""
    if type(one) is not type(other):
        return f"one is a {type(one).__name__}, the other a {type(other).__name__}"
    (tensors, facts), (others, other_facts) = parts(one), parts(other)
    return same_tensors(tensors, others) or ("" if facts == other_facts else "the recipes' configurations differ")


def apart(trial: Trial, one: Patch | None, other: Patch | None) -> str:
    """ "" where two patches do the same up to rounding, else how far they are apart.

    Weights are compared as matrices, modules and routers by the answers they give.
    """
    if not bitwise(one, other):
        return ""
    if isinstance(one, WeightPatch) and isinstance(other, WeightPatch):
        return _weights_apart(one, other)
    return answers_apart(trial, one, other)


def answers_apart(trial: Trial, one: Patch | None, other: Patch | None) -> str:
    """ "" where two patches give the same answers up to rounding, else the largest difference."""
    if one is None or other is None:
        return "" if one is other else "only one of the two has a patch"
    pairs = zip(trial.logprobs(one, QUESTIONS), trial.logprobs(other, QUESTIONS), strict=True)
    return gap([abs(a - b) for a, b in pairs])


def gap(differences: list[float]) -> str:
    """ "" where all are below NEAR_ANSWERS (NaN is not), else the largest in words."""
    worst = [value for value in differences if not value <= NEAR_ANSWERS]
    return f"log-probabilities differ by up to {max(worst):.3g}" if worst else ""


def _weights_apart(one: WeightPatch, other: WeightPatch) -> str:
    for name in sorted(set(one.deltas) | set(other.deltas)):
        if name not in one.deltas or name not in other.deltas:
            return f"only one of the two changes {name}"
        a, b = matrix(one.deltas[name]), matrix(other.deltas[name])
        scale = max(float(a.norm()), float(b.norm()))
        distance = float((a - b).norm()) / scale if scale else 0.0
        if not distance <= NEAR_WEIGHTS:
            return f"the changes of {name} differ by {distance:.1%} of their norm"
    return ""


def matrix(delta: LowRank | Dense) -> Tensor:
    """A delta in full, fp64."""
    return delta.delta.double() if isinstance(delta, Dense) else delta.a.double() @ delta.b.double()


def _factors(delta: LowRank | Dense) -> dict[str, Tensor]:
    return {"delta": delta.delta} if isinstance(delta, Dense) else {"a": delta.a, "b": delta.b}
