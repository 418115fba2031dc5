"""GRACE's codebook and the layer that looks up in it, per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from editharness.models.capture import at
from editharness.models.spans import IGNORED
from editharness.rows import Rows, rows
from editharness_plugins.methods.memory import Memory

if TYPE_CHECKING:
    from editharness.types import State

Replace = Literal["last", "prompt", "all"]
Expand = Literal["coverage", "moving_average"]
TOUCHING = 1e-4
"""Keys this near, as a share of their length, are one key: rounding differs by as much between batches."""


@dataclass(frozen=True)
class Codebook:
    """Entries: keys [n, d_in], values [n, d_out], radii [n], all fp32; labels [n, m] int64, the target's tokens."""

    keys: Tensor
    values: Tensor
    radii: Tensor
    labels: Tensor

    @classmethod
    def of(cls, state: State, d_in: int, d_out: int) -> Codebook:
        """The codebook that a state holds; an empty one where it holds none."""
        if "keys" in state:
            return cls(state["keys"], state["values"], state["radii"], state["labels"])
        empty = torch.zeros(0, dtype=torch.long)
        return cls(torch.zeros(0, d_in), torch.zeros(0, d_out), torch.zeros(0), empty[:, None])

    def __len__(self) -> int:
        return len(self.keys)

    def tensors(self) -> dict[str, Tensor]:
        """By name, as a state or a recipe has them."""
        return {"keys": self.keys, "values": self.values, "radii": self.radii, "labels": self.labels}

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Distance to the nearest key and its index, [B] each; queries [B, d_in]."""
        # by way of a matrix product the distance of a key to itself would not be 0
        distances = torch.cdist(queries.float(), self.keys, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.min(dim=1)

    def look_up(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """The value of the nearest key [B, d_out], and whether the query lies in its radius [B] bool."""
        distance, index = self.nearest(queries)
        return self.values[index], distance <= self.radii[index]

    def prepared(
        self, query: Tensor, label: Tensor, value: Tensor, eps: float, expand: Expand = "coverage"
    ) -> tuple[Codebook, int]:
        """The codebook with an entry for this edit, and which: an old entry if its label is the same, else a new one.

        query [d_in], label [m] int64, value [d_out], where a new entry begins (algorithm 1).
        """
        if not len(self):
            return self._added(query, label, value, eps), 0
        distances, indices = self.nearest(query[None])
        distance, index = float(distances[0]), int(indices[0])
        touching = TOUCHING * float(query.norm())
        if distance > eps + float(self.radii[index]):
            return self._added(query, label, value, eps), len(self)
        if self._label(index) == label.tolist():
            return self._widened(index, query, distance + touching, expand), index
        if distance <= touching:
            return self._taken_over(index, label, value), index
        narrow = self._with_radius(index, distance / 2 - 1e-5)
        return narrow._added(query, label, value, distance / 2), len(self)

    def with_value(self, index: int, value: Tensor) -> Codebook:
        """The codebook with another value in one entry."""
        values = self.values.clone()
        values[index] = value
        return replace(self, values=values)

    def to(self, device: torch.device) -> Codebook:
        """The same on another device."""
        return Codebook(*(tensor.to(device) for tensor in self.tensors().values()))

    def _label(self, index: int) -> list[int]:
        return [token for token in self.labels[index].tolist() if token != IGNORED]

    def _added(self, query: Tensor, label: Tensor, value: Tensor, radius: float) -> Codebook:
        width = max(self.labels.shape[1], len(label))
        old, new = (nn.functional.pad(x, (0, width - x.shape[-1]), value=IGNORED) for x in (self.labels, label))
        return Codebook(
            torch.cat([self.keys, query[None].float()]),
            torch.cat([self.values, value[None].float()]),
            torch.cat([self.radii, torch.tensor([radius])]),
            torch.cat([old, new[None]]),
        )

    def _widened(self, index: int, query: Tensor, distance: float, expand: Expand) -> Codebook:
        if distance <= self.radii[index]:
            return self
        keys = self.keys.clone()
        if expand == "moving_average":
            keys[index] = (keys[index] + query) / 2
        return replace(self._with_radius(index, distance), keys=keys)

    def _taken_over(self, index: int, label: Tensor, value: Tensor) -> Codebook:
        """The same entry with another answer."""
        added = self._added(self.keys[index], label, value, float(self.radii[index]))
        order = torch.arange(len(self))
        order[index] = len(self)
        return Codebook(*(tensor[order] for tensor in added.tensors().values()))

    def _with_radius(self, index: int, radius: float) -> Codebook:
        radii = self.radii.clone()
        radii[index] = radius
        return replace(self, radii=radii)


def places(now: Rows, which: Replace) -> Tensor:
    """Columns [B, T] bool whose output a value replaces: the last of the prompt, those before it, or all."""
    columns = torch.arange(now.mask.shape[1], device=now.mask.device)
    if which == "last":
        return columns == now.last_prompt[:, None]
    return now.prompt & (columns < now.last_prompt[:, None]) if which == "prompt" else now.mask


class GraceLayer(Memory):
    """The layer with its codebook: per row the query is the layer's input at the last prompt token.

    A row is decided at its prompt, so scoring, batches of any size and generation with or without a cache agree.
    """

    def __init__(self, original: nn.Module, codebook: Codebook, which: Replace) -> None:
        super().__init__(original)
        self.codebook, self.which = codebook, which

    def forward(self, hidden: Tensor) -> Tensor:
        """The layer's output [B, T, d_out], replaced in the rows that hit."""
        output: Tensor = self.original(hidden)
        now = rows()
        if now.phase == "decode":
            return self._decoded(output, now)
        value, hit = now.memo[self] = self.codebook.look_up(at(hidden, now.last_prompt))
        return torch.where((places(now, self.which) & hit[:, None])[..., None], value[:, None].to(output.dtype), output)

    def _decoded(self, output: Tensor, now: Rows) -> Tensor:
        """A generated token: the prompt's replacement is in the cache; where all positions are replaced, so is this."""
        if self.which != "all":
            return output
        value, hit = now.memo[self]
        return torch.where(hit[:, None, None], value[:, None].to(output.dtype), output)


@dataclass(frozen=True)
class GraceRecipe:
    """A GraceLayer as data. config: `replace`."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "grace"

    def build(self, original: nn.Module) -> nn.Module:
        """The layer over `original`, on its device."""
        codebook = Codebook(*(self.tensors[name] for name in ("keys", "values", "radii", "labels")))
        return GraceLayer(original, codebook.to(next(original.parameters()).device), self.config["replace"])
