"""The linear maps that a hypernetwork edits, and a model with other weights in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.func import functional_call

from editharness.models.capture import submodule
from editharness.models.modules import to_math, to_stored
from editharness.patch import Dense, LowRank

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.method import Host
    from editharness.models.modules import Role

Change = LowRank | Dense
"""Δ [d_out, d_in] of one map, in math orientation."""


@dataclass(frozen=True)
class Map:
    """One edited linear map y = W k: where it is, how its weight is stored, its place among the maps of its shape."""

    module: str
    transposed: bool
    d_in: int
    d_out: int
    index: int

    @property
    def weight(self) -> str:
        """The parameter's name."""
        return f"{self.module}.weight"

    @property
    def shape(self) -> str:
        """Maps of one shape share a net and the moments of their factors."""
        return f"{self.d_in}x{self.d_out}"


def find_maps(host: Host, layers: Sequence[int], roles: Sequence[Role]) -> tuple[Map, ...]:
    """The maps of these roles, layer by layer; where "up" and "gate" are one module it counts once.

    Raises ModelError for a layer or a module that the model has not.
    """
    found: list[Map] = []
    for module, layer in {host.modules.projection(layer, role): layer for layer in layers for role in roles}.items():
        transposed = host.modules.transposed(layer)
        d_out, d_in = to_math(submodule_weight(host.model, module), transposed).shape
        before = sum((one.d_in, one.d_out) == (d_in, d_out) for one in found)
        found.append(Map(module, transposed, d_in, d_out, before))
    return tuple(found)


def submodule_weight(model: nn.Module, module: str) -> Tensor:
    """The weight of a linear map; raises ModelError where the model has no such module."""
    return submodule(model, module).get_parameter("weight")


def masters(model: nn.Module, maps: Sequence[Map]) -> dict[str, Tensor]:
    """The weights of the maps as fp32 copies, by parameter name."""
    return {one.weight: submodule_weight(model, one.module).detach().float().clone() for one in maps}


def changed(weights: Mapping[str, Tensor], maps: Sequence[Map], changes: Sequence[Change]) -> dict[str, Tensor]:
    """W + Δ, as stored; new contiguous tensors."""
    return {
        one.weight: (weights[one.weight] + to_stored(matrix(change), one.transposed)).contiguous()
        for one, change in zip(maps, changes, strict=True)
    }


def matrix(change: Change) -> Tensor:
    """Δ [d_out, d_in] written out."""
    return change.delta if isinstance(change, Dense) else change.a @ change.b


def compact(change: Change) -> Change:
    """The same change in the form that holds fewer numbers: many tokens make factors larger than their product."""
    if isinstance(change, LowRank) and change.a.numel() + change.b.numel() >= len(change.a) * change.b.shape[1]:
        return Dense(matrix(change))
    return change


class Edited(nn.Module):
    """A model that runs with other weights (by parameter name; cast to the dtype of the model's), itself not written.

    Its modules answer to the model's names, so that whatever hooks into the model works here too.
    """

    def __init__(self, model: nn.Module, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.model = model
        self.weights = weights

    def forward(self, **inputs: Any) -> Any:
        """The model's own output."""
        cast = {name: weight.to(self.model.get_parameter(name).dtype) for name, weight in self.weights.items()}
        return functional_call(self.model, cast, kwargs=inputs)

    def get_submodule(self, target: str) -> nn.Module:
        """The model's module of this name."""
        return self.model.get_submodule(target)
