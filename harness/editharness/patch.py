"""Patches: an edit as a value. Weight deltas add up, module and router patches replace their predecessor.

(under construction: apply/undo, join, save, load)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class LowRank:
    """delta = a @ b in the parameter's own orientation. a [rows, r], b [r, columns]."""

    a: Tensor
    b: Tensor


@dataclass(frozen=True)
class Dense:
    """A full delta in the parameter's own orientation (fine-tuning)."""

    delta: Tensor


class ModuleRecipe(Protocol):
    """A module rebuilt by registered name + tensors + JSON; never pickled."""

    kind: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]

    def build(self, original: nn.Module) -> nn.Module: ...


class RouterRecipe(Protocol):
    """A decision per request, before tokens exist: the context to use instead, and which model answers."""

    kind: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]

    def route(self, context: str) -> tuple[str, str]: ...


@dataclass(frozen=True)
class WeightPatch:
    """Additive changes per parameter name."""

    deltas: Mapping[str, LowRank | Dense]


@dataclass(frozen=True)
class ModulePatch:
    """Replaced modules per dotted name; a later one holds all earlier edits."""

    swaps: Mapping[str, ModuleRecipe]


@dataclass(frozen=True)
class RouterPatch:
    """A router over requests; a later one replaces it."""

    router: RouterRecipe


Patch = WeightPatch | ModulePatch | RouterPatch
