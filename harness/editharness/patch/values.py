"""What a patch is, as values, and how two of them join."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch

from editharness.errors import MethodError

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

    @property
    def kind(self) -> str:
        """The registered name that it is rebuilt by."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Its tensors by name."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its JSON values by name."""

    def build(self, original: nn.Module) -> nn.Module:
        """The module to put in place of `original`, which it may wrap and must not change."""


class RouterRecipe(Protocol):
    """A decision per request, before tokens exist: the context to use instead, and which model answers."""

    @property
    def kind(self) -> str:
        """The registered name that it is rebuilt by."""

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Its tensors by name."""

    @property
    def config(self) -> Mapping[str, Any]:
        """Its JSON values by name."""

    def route(self, context: str) -> tuple[str, str]:
        """The context to use instead, and "base" or the name of a second model (see `AnsweringRouter`)."""


@runtime_checkable
class AnsweringRouter(RouterRecipe, Protocol):
    """A router that may name a second model, and makes it."""

    def answerer(self, name: str, base: nn.Module) -> nn.Module:
        """The model for a name that `route` gave; never called for "base". Same vocabulary as `base`, not changed.

        A causal language model as transformers has them, made of the recipe's tensors and config; it is moved to the
        device of the run and dropped when its requests are answered.
        """


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


def shape(delta: LowRank | Dense) -> tuple[int, ...]:
    """The shape of the parameter that the delta is for."""
    if isinstance(delta, Dense):
        return tuple(delta.delta.shape)
    return (delta.a.shape[0], delta.b.shape[1])


def full(delta: LowRank | Dense, like: Tensor) -> Tensor:
    """The delta as a matrix, of the dtype and on the device of `like`; factors are multiplied in that dtype."""
    if isinstance(delta, Dense):
        return delta.delta.to(like.device, like.dtype)
    return delta.a.to(like.device, like.dtype) @ delta.b.to(like.device, like.dtype)


def join(earlier: Patch, later: Patch) -> Patch:
    """One patch that does what `earlier` and then `later` do. Both must be of one kind, else MethodError.

    Weight deltas add: factors are put side by side until the full matrix is smaller than they are. Modules and routers:
    the later one, which holds all earlier edits.
    """
    if isinstance(earlier, WeightPatch) and isinstance(later, WeightPatch):
        names = [*earlier.deltas, *(name for name in later.deltas if name not in earlier.deltas)]
        return WeightPatch({name: _sum(earlier.deltas.get(name), later.deltas.get(name), name) for name in names})
    if type(earlier) is not type(later):
        raise MethodError(f"a {type(later).__name__} cannot be joined to a {type(earlier).__name__}")
    return later


def _sum(earlier: LowRank | Dense | None, later: LowRank | Dense | None, name: str) -> LowRank | Dense:
    if earlier is None or later is None:
        found = earlier or later
        assert found is not None
        return found
    if shape(earlier) != shape(later):
        raise MethodError(f"deltas for {name} have shapes {shape(earlier)} and {shape(later)}")
    if isinstance(earlier, LowRank) and isinstance(later, LowRank):
        rows, columns = shape(earlier)
        if (earlier.a.shape[1] + later.a.shape[1]) * (rows + columns) < rows * columns:
            return LowRank(_beside(earlier.a, later.a, 1), _beside(earlier.b, later.b, 0))
    wide = torch.zeros((), dtype=torch.promote_types(_first(earlier).dtype, _first(later).dtype))
    like = wide.to(_first(earlier).device)
    return Dense(full(earlier, like) + full(later, like))


def _beside(left: Tensor, right: Tensor, dim: int) -> Tensor:
    dtype = torch.promote_types(left.dtype, right.dtype)
    return torch.cat([left.to(dtype), right.to(left.device, dtype)], dim=dim)


def _first(delta: LowRank | Dense) -> Tensor:
    return delta.delta if isinstance(delta, Dense) else delta.a


def tensors(patch: Patch) -> Iterable[Tensor]:
    """Every tensor of a patch."""
    if isinstance(patch, WeightPatch):
        for delta in patch.deltas.values():
            yield from (delta.delta,) if isinstance(delta, Dense) else (delta.a, delta.b)
    elif isinstance(patch, ModulePatch):
        for recipe in patch.swaps.values():
            yield from recipe.tensors.values()
    else:
        yield from patch.router.tensors.values()


def nbytes(patch: Patch) -> int:
    """Bytes of a patch's tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(patch))
