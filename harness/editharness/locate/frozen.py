"""What a value search never changes, computed once; and the passes that go on from there.

Rows are aligned where the searched vectors enter (`rows.Rows`). Left of it nothing moves: the attention keys and values
of the layers above the site are kept. The layers up to the site are not run again at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from torch.nn.functional import pad
from transformers import DynamicCache

from editharness.locate.forward import by_width, only_positions, only_there, overriding, through_lens
from editharness.models.capture import Side, capture, replaced

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.rows import Rows
    from editharness.models.modules import ModuleMap

Site = Literal["block", "mlp", "attention"]
"""What a searched vector is added to: the residual stream after a layer, its MLP's output, its attention's output.

The MLP's output is what its down projection writes, also where a norm stands between it and the stream (Gemma, OLMo 2);
likewise the attention's.
"""


@dataclass(frozen=True)
class Part:
    """Rows of similar length, which run together: their numbers [k], their columns, and what is frozen of them.

    The rows have nothing before column `left`, and `width` columns from `start` on. stream [k, width, d_h]: the
    residual stream after the layer `base` there (None for -1); past: per layer above it the attention keys and values
    of the columns from `left` up to `start`.
    """

    row: Tensor
    left: int
    width: int
    stream: Tensor | None
    past: Mapping[int, tuple[Tensor, Tensor]]

    def without(self, gone: Tensor, rows: Rows) -> Part:
        """The rows that are not `gone`, renumbered as in `rows`, which has no others."""
        kept = ~gone[self.row]
        row = ((~gone).cumsum(dim=0) - 1)[self.row[kept]]
        width = max(rows.widths()[row].tolist(), default=0)
        past = {layer: (_rows(keys, kept), _rows(values, kept)) for layer, (keys, values) in self.past.items()}
        stream = None if self.stream is None else _rows(self.stream, kept)[:, :width]
        return Part(row, self.left, width, stream, past)


@dataclass(frozen=True)
class Frozen:
    """What a value search at `layer` never changes, for rows aligned where the searched vectors enter.

    seen: per site its output there [rows, d]. base: the last layer that the search does not run again, -1 for none;
    tail: what that block hands on beside the stream (None where it hands on a bare tensor). The rest is in `parts`.
    """

    parts: tuple[Part, ...]
    seen: Mapping[Site, Tensor]
    tail: tuple[Any, ...] | None
    layer: int
    base: int
    start: int

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


class _Recorder(DynamicCache):  # type: ignore[misc]  # transformers has no types
    """A cache that only looks on: it keeps the keys and values of the layers above one layer, up to a column."""

    def __init__(self, layer: int, end: int) -> None:
        super().__init__()
        self.layer, self.end = layer, end
        self.past: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, keys: Tensor, values: Tensor, layer: int, *rest: Any, **named: Any) -> tuple[Tensor, Tensor]:
        if layer > self.layer:
            self.past[layer] = (keys[:, :, : self.end].clone(), values[:, :, : self.end].clone())
        return keys, values


def site_name(modules: ModuleMap, layer: int, site: Site) -> str:
    """The module whose output a site is."""
    return {"block": modules.block, "mlp": modules.mlp, "attention": modules.attention}[site](layer)


def freeze(model: nn.Module, modules: ModuleMap, layer: int, rows: Rows, sites: Collection[Site]) -> Frozen:
    """One pass over every row as a whole that keeps what a search at `layer` needs and what `sites` give out.

    A vector on the attention's output changes what the layer's own MLP sees: that layer is run again then. So it is for
    one on an MLP's output that a norm follows; where none does, the vector is one on the residual stream as well.
    """
    inside = "attention" in sites or ("mlp" in sites and modules.post_norm is not None)
    base = layer - 1 if inside else layer
    groups = by_width(rows.mask.sum(dim=1).tolist())
    found = [_read_rows(model, modules, base, layer, rows, sites, group) for group in groups]
    back = torch.tensor([row for group in groups for row in group], device=rows.ids.device).argsort()
    whole = {name: _rows(torch.cat([one.seen[name] for one in found]), back) for name in found[0].seen}
    past = {
        above: tuple(_rows(torch.cat([one.past[above][side] for one in found]), back) for side in (0, 1))
        for above in found[0].past
    }
    parts = [_part(rows, group, whole.get("stream"), past) for group in by_width(rows.widths().tolist())]
    seen = {site: whole[site] for site in sites}
    return Frozen(tuple(parts), seen, found[-1].tail, layer, base, rows.start)


@dataclass(frozen=True)
class _Read:
    """What a pass over some rows showed, all in the columns of all rows: as in `Part`, `Frozen`."""

    seen: Mapping[str, Tensor]
    past: Mapping[int, tuple[Tensor, Tensor]]
    tail: tuple[Any, ...] | None


def _read_rows(
    model: nn.Module, modules: ModuleMap, base: int, layer: int, rows: Rows, sites: Collection[Site], group: list[int]
) -> _Read:
    row = torch.tensor(group, device=rows.ids.device)
    used = rows.mask[row].any(dim=0).nonzero()
    left, right = int(used[0]), int(used[-1]) + 1
    start, missing = rows.start - left, rows.mask.shape[1] - right
    names = {site: site_name(modules, layer, site) for site in sites}
    below = modules.blocks[base] if base >= 0 else None
    tails: list[tuple[Any, ...] | None] = [None]
    recorder = _Recorder(base, start)
    nowhere = torch.zeros(1, dtype=torch.long, device=row.device)
    wanted: dict[str, Side] = dict.fromkeys([*names.values(), *([below] if below else [])], "output")
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if below is not None:
            stack.enter_context(_watching(model.get_submodule(below), lambda out: tails.append(_beside(out))))
        stack.enter_context(only_positions(model.get_submodule(modules.head), nowhere, nowhere))
        if layer < modules.layers - 1:
            stack.enter_context(only_there(model.get_submodule(modules.mlp(modules.layers - 1)), nowhere, nowhere))
        seen = stack.enter_context(capture(model, wanted))
        model(
            input_ids=rows.ids[row, left:right], attention_mask=rows.mask[row, left:right],
            position_ids=rows.position[row, left:right], past_key_values=recorder, use_cache=True,
        )  # fmt: skip
    kept: dict[str, Tensor] = {site: seen[name][:, start].to(row.device, copy=True) for site, name in names.items()}
    if below is not None:
        kept["stream"] = pad(seen[below][:, start:], (0, 0, 0, missing))
    past = {
        above: (pad(keys, (0, 0, left, 0)), pad(values, (0, 0, left, 0)))
        for above, (keys, values) in recorder.past.items()
    }
    return _Read(kept, past, tails[-1])


def _part(rows: Rows, group: list[int], stream: Tensor | None, past: Mapping[int, tuple[Tensor, ...]]) -> Part:
    row = torch.tensor(group, device=rows.ids.device)
    left, width = int(rows.mask[row].any(dim=0).nonzero()[0]), int(rows.widths()[row].max())
    mine = {
        layer: (_rows(keys, row)[:, :, left:], _rows(values, row)[:, :, left:])
        for layer, (keys, values) in past.items()
    }
    return Part(row, left, width, None if stream is None else _rows(stream, row)[:, :width], mine)


def _rows(tensor: Tensor, which: Tensor) -> Tensor:
    """Some rows (indices or a mask); streams and caches stay on the devices of their layers."""
    return tensor[which.to(tensor.device)]


def proceed(
    model: nn.Module,
    modules: ModuleMap,
    rows: Rows,
    frozen: Frozen,
    added: Mapping[Site, Tensor],
    asked: tuple[Tensor, Tensor],
    lens: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Logits [positions, vocabulary] at `asked` (row, column from `start` on), vectors [rows, d_h] added at `start`.

    Both come in the vectors' dtype. With `lens` also the head's logits [rows, vocabulary] on that block's stream at
    `start`. The model itself makes its masks and rotations; the blocks up to `frozen.base` hand the stream on
    untouched, so this needs no knowledge of an architecture.
    """
    row, column = asked
    logits, looked, order = [], [], []
    for part in frozen.parts:
        local = torch.full((len(rows.ids),), -1, device=row.device)
        local[part.row] = torch.arange(len(part.row), device=row.device)
        mine = (local[row] >= 0).nonzero(as_tuple=True)[0]
        moved = {site: delta[part.row] for site, delta in added.items()}
        said, seen = _proceed(model, modules, rows, frozen, part, moved, (local[row[mine]], column[mine]), lens)
        logits.append(said)
        looked.append(seen)
        order.append(mine)
    back, back_rows = torch.cat(order).argsort(), torch.cat([part.row for part in frozen.parts]).argsort()
    through = None if lens is None else torch.cat([one for one in looked if one is not None])[back_rows]
    return torch.cat(logits)[back], through


def _proceed(
    model: nn.Module, modules: ModuleMap, rows: Rows, frozen: Frozen, part: Part, added: Mapping[Site, Tensor],
    asked: tuple[Tensor, Tensor], lens: int | None,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """As `proceed`, of one part; rows are counted within it."""
    inside = frozen.base < frozen.layer
    dtype = next(iter(added.values())).dtype
    end = rows.start + part.width
    columns = slice(rows.start, end)
    kept: dict[str, Tensor] = {}
    with ExitStack() as stack:
        if part.stream is not None:
            stream = part.stream if inside else _moved(part.stream, list(added.values()))
            handed = stream if frozen.tail is None else (stream, *frozen.tail)
            for name in modules.blocks[: frozen.base + 1]:
                stack.enter_context(overriding(model.get_submodule(name), lambda *args, **kwargs: handed))
        for site, delta in added.items() if inside else ():
            moved = partial(_moved, added=[delta])
            stack.enter_context(replaced(model, site_name(modules, frozen.layer, site), moved))
        if lens is not None:
            first = torch.zeros(len(part.row), dtype=torch.long, device=rows.ids.device)
            kept = stack.enter_context(capture(model, {modules.block(lens): "output"}, first, keep_grad=True))
        stack.enter_context(only_positions(model.get_submodule(modules.head), *asked))
        if lens != modules.layers - 1:
            stack.enter_context(only_there(model.get_submodule(modules.mlp(modules.layers - 1)), *asked))
        output = model(
            input_ids=rows.ids[part.row, columns], attention_mask=rows.mask[part.row, part.left : end],
            position_ids=rows.position[part.row, columns], past_key_values=frozen.cache(part), use_cache=True,
        )  # fmt: skip
    looked = through_lens(model, modules, kept[modules.block(lens)]) if lens is not None else None
    return output.logits.to(dtype), None if looked is None else looked.to(output.logits.device, dtype)


def _beside(output: Any) -> tuple[Any, ...] | None:
    """What a block hands on beside the stream; None where it hands on a bare tensor."""
    return None if torch.is_tensor(output) else output[1:]


def _moved(stream: Tensor, added: Sequence[Tensor]) -> Tensor:
    """The stream [rows, S, d_h] with vectors [rows, d_h] added to its first column."""
    first = stream[:, :1]
    for delta in added:
        first = (first.to(delta.dtype) + delta[:, None].to(first.device)).to(stream.dtype)
    return torch.cat([first, stream[:, 1:]], dim=1)


@contextmanager
def _watching(module: nn.Module, look: Callable[[Any], None]) -> Iterator[None]:
    hook = module.register_forward_hook(lambda module, inputs, output: look(output))
    try:
        yield
    finally:
        hook.remove()
