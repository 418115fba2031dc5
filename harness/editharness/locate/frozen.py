"""What a value search never changes, as `freezing` computes it once.

Rows are aligned where the searched vectors enter (`rows.Rows`). Left of it nothing moves: the attention keys and values
of the layers above the site are kept. The layers up to the site are not run again at all. In the first layer above it
only the column where a vector enters reads another stream: what the attention's maps make of the others is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import DynamicCache

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.rows import Rows
    from editharness.models.modules import ModuleMap

Site = Literal["block", "mlp", "attention"]
"""What a searched vector is added to: the residual stream after a layer, its MLP's output, its attention's output.

The MLP's output is what its down projection writes, also where a norm stands between it and the stream (Gemma, OLMo 2);
likewise the attention's.
"""


def site_name(modules: ModuleMap, layer: int, site: Site) -> str:
    """The module whose output a site is."""
    return {"block": modules.block, "mlp": modules.mlp, "attention": modules.attention}[site](layer)


@dataclass(frozen=True)
class Shown:
    """What passes over some rows showed, in aligned columns: `past` up to `start`, `stream` and `maps` from it on."""

    seen: Mapping[Site, Tensor]
    stream: Tensor | None
    maps: Mapping[str, Tensor]
    past: Mapping[int, tuple[Tensor, Tensor]]
    tail: tuple[Any, ...] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Shown], back: Tensor) -> Shown:
        """All rows, in the order `back`."""

        def whole(pieces: Sequence[Tensor]) -> Tensor:
            return _rows(torch.cat(list(pieces)), back)

        first = parts[0]
        streams = [part.stream for part in parts if part.stream is not None]
        return cls(
            {site: whole([part.seen[site] for part in parts]) for site in first.seen},
            whole(streams) if streams else None,
            {name: whole([part.maps[name] for part in parts]) for name in first.maps},
            {
                above: (whole([part.past[above][0] for part in parts]), whole([part.past[above][1] for part in parts]))
                for above in first.past
            },
            parts[-1].tail,
        )


@dataclass(frozen=True)
class Part:
    """Rows of similar length, which run together: their numbers [k], their columns, and what is frozen of them.

    The rows have nothing before column `left`, and `width` columns from `start` on. stream [k, width, d_h]: the
    residual stream after the layer `base` there (None for -1); maps: likewise what attention maps of the next layers
    make of it; past: per layer above `base` the attention keys and values of the columns from `left` up to `start`.
    """

    row: Tensor
    left: int
    width: int
    stream: Tensor | None
    maps: Mapping[str, Tensor]
    past: Mapping[int, tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, rows: Rows, group: list[int], whole: Shown) -> Part:
        """Of these rows, by what all rows showed."""
        row = torch.tensor(group, device=rows.ids.device)
        left, width = int(rows.mask[row].any(dim=0).nonzero()[0]), int(rows.widths()[row].max())
        past = {
            layer: (_rows(keys, row)[:, :, left:].contiguous(), _rows(values, row)[:, :, left:].contiguous())
            for layer, (keys, values) in whole.past.items()
        }
        maps = {name: _rows(made, row)[:, :width] for name, made in whole.maps.items()}
        return cls(row, left, width, None if whole.stream is None else _rows(whole.stream, row)[:, :width], maps, past)

    def without(self, gone: Tensor, rows: Rows) -> Part:
        """The rows that are not `gone`, renumbered as in `rows`, which has no others."""
        kept = ~gone[self.row]
        row = ((~gone).cumsum(dim=0) - 1)[self.row[kept]]
        width = max(rows.widths()[row].tolist(), default=0)
        past = {layer: (_rows(keys, kept), _rows(values, kept)) for layer, (keys, values) in self.past.items()}
        maps = {name: _rows(made, kept)[:, :width] for name, made in self.maps.items()}
        stream = None if self.stream is None else _rows(self.stream, kept)[:, :width]
        return Part(row, self.left, width, stream, maps, past)


@dataclass(frozen=True)
class Frozen:
    """What a value search at `layer` never changes, for rows aligned where the searched vectors enter.

    seen: per site its output there [rows, d]. base: the last layer that the search does not run again, -1 for none;
    tail: what that block hands on beside the stream (None where it hands on a bare tensor). apart: what chooses the
    attention where that to the past can be taken apart (`attending.separable`). The rest is in `parts`.
    """

    parts: tuple[Part, ...]
    seen: Mapping[Site, Tensor]
    tail: tuple[Any, ...] | None
    layer: int
    base: int
    start: int
    apart: tuple[Any, ...] = ()

    @property
    def order(self) -> Tensor:
        """All rows, part by part."""
        return torch.cat([part.row for part in self.parts])

    def without(self, gone: Tensor, rows: Rows) -> Frozen:
        """The rows that are not `gone`, renumbered as in `rows`, which has no others."""
        parts = [part.without(gone, rows) for part in self.parts]
        seen = {site: seen[~gone] for site, seen in self.seen.items()}
        return replace(self, parts=tuple(part for part in parts if len(part.row)), seen=seen)

    def cache(self, part: Part) -> DynamicCache:
        """A part's past as the model takes it. Skipped layers get an empty entry of the right length, as it asks."""
        cache = DynamicCache()
        for layer in range(self.base + 1):
            empty = next(iter(self.seen.values())).new_zeros(1, 1, self.start - part.left, 1)
            cache.update(empty, empty, layer)
        for layer, (keys, values) in part.past.items():
            cache.update(keys, values, layer)
        return cache


def _rows(tensor: Tensor, which: Tensor) -> Tensor:
    """Some rows (indices or a mask); streams and caches stay on the devices of their layers."""
    return tensor[which.to(tensor.device)]
