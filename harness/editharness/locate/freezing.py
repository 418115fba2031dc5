"""The passes that compute what a value search never changes: once over every row, once over what rows share."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import DynamicCache

from editharness.locate.attending import separable
from editharness.locate.forward import by_width, only_positions, only_there, worth_a_pass
from editharness.locate.frozen import Frozen, Part, Shown, Site, site_name
from editharness.locate.sharing import by_beginning
from editharness.models.capture import Side, capture

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.rows import Rows
    from editharness.models.modules import ModuleMap


def freeze(model: nn.Module, modules: ModuleMap, layer: int, rows: Rows, sites: Collection[Site]) -> Frozen:
    """Every row once as a whole, for what a search at `layer` needs and what `sites` give out.

    A vector on the attention's output changes what the layer's own MLP sees: that layer is run again then. So it is for
    one on an MLP's output that a norm follows; where none does, the vector is one on the residual stream as well.
    """
    inside = "attention" in sites or ("mlp" in sites and modules.post_norm is not None)
    base = layer - 1 if inside else layer
    lengths, entries = rows.mask.sum(dim=1), rows.position[:, rows.start].tolist()
    own = _unaligned(rows, lengths)
    worth = worth_a_pass(rows.ids.device, gradient=True)
    groups = [
        ([alike.members[at] for at in group], alike.shared)
        for alike in by_beginning([ids[:entry] for ids, entry in zip(own.tolist(), entries, strict=True)], worth)
        for group in by_width([int(lengths[row]) - alike.shared for row in alike.members], worth)
    ]
    wanted = _Wanted.of(modules, layer, base, sites)
    found = [_read(model, modules, wanted, rows, own, group, shared) for group, shared in groups]
    back = torch.tensor([row for group, _ in groups for row in group], device=rows.ids.device).argsort()
    whole = Shown.joined(found, back)
    parts = tuple(Part.of(rows, group, whole) for group in by_width(rows.widths().tolist(), worth))
    return Frozen(parts, whole.seen, whole.tail, layer, base, rows.start, separable(model))


@dataclass(frozen=True)
class _Wanted:
    """Modules whose outputs are kept (sites: at the entry alone), those that need not be run at all (`unread`), and
    those that need not be run from the entry on (`left`)."""

    layer: int
    base: int
    sites: Mapping[Site, str]
    below: str | None
    maps: tuple[str, ...]
    unread: tuple[str, ...]
    left: tuple[str, ...]

    @classmethod
    def of(cls, modules: ModuleMap, layer: int, base: int, sites: Collection[Site]) -> _Wanted:
        """For a search at `layer` that runs the layers above `base`."""
        moved = range(base + 1, min(layer + 2, modules.layers))  # up to the first layer that reads a moved stream
        maps = tuple(name for above in moved for name in modules.attention_reads(above))
        unread = tuple(name for name in modules.read_where_asked() if name not in maps)
        return cls(
            layer, base, {site: site_name(modules, layer, site) for site in sites},
            modules.blocks[base] if base >= 0 else None, maps, unread if layer < modules.layers - 1 else (),
            tuple(name for above in range(layer + 1, modules.layers - 1) for name in modules.for_itself(above)),
        )  # fmt: skip


def _read(
    model: nn.Module, modules: ModuleMap, wanted: _Wanted, rows: Rows, own: Tensor, group: list[int], shared: int
) -> Shown:
    """One pass over what the rows share, one over the rest of each, padded on the right."""
    row = torch.tensor(group, device=rows.ids.device)
    lengths = rows.mask[row].sum(dim=1)
    column = torch.arange(int(lengths.max()), device=row.device)
    nowhere, cache = torch.zeros(1, dtype=torch.long, device=row.device), DynamicCache()
    tails: list[tuple[Any, ...] | None] = [None]
    names = dict.fromkeys([*wanted.sites.values(), *([wanted.below] if wanted.below else []), *wanted.maps])
    sides: dict[str, Side] = dict.fromkeys(names, "output")
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if wanted.below is not None:
            below = model.get_submodule(wanted.below)
            stack.callback(below.register_forward_hook(lambda *call: tails.append(_beside(call[-1]))).remove)
        stack.enter_context(only_positions(model.get_submodule(modules.head), nowhere, nowhere))
        stack.enter_context(only_there(map(model.get_submodule, wanted.unread), nowhere, nowhere))
        made = stack.enter_context(capture(model, sides))
        if shared:
            model(input_ids=own[row[:1], :shared], past_key_values=cache, use_cache=True)
            cache.batch_repeat_interleave(len(group))
        early = (column[shared:] < rows.position[row, rows.start, None]).nonzero(as_tuple=True)
        stack.enter_context(only_there(map(model.get_submodule, wanted.left), *early))
        model(
            input_ids=own[row][:, shared : len(column)], attention_mask=column < lengths[:, None],
            position_ids=column[shared:].expand(len(group), -1), past_key_values=cache, use_cache=True,
        )  # fmt: skip
    aligned = rows.position[row].clamp(max=len(column) - 1)
    before, after = aligned[:, : rows.start], (aligned[:, rows.start :] - shared).clamp(min=0)
    return Shown(
        {site: _columns(made[name], after[:, :1])[:, 0].to(row.device) for site, name in wanted.sites.items()},
        None if wanted.below is None else _columns(made[wanted.below], after),
        {name: _columns(made[name], after) for name in wanted.maps},
        {
            above: (_columns(layer.keys, before), _columns(layer.values, before))
            for above, layer in enumerate(cache.layers) if above > wanted.base
        },
        tails[-1],
    )  # fmt: skip


def _unaligned(rows: Rows, lengths: Tensor) -> Tensor:
    """Every row's own tokens [rows, T], from the first column on."""
    first = rows.mask.int().argmax(dim=1)
    column = first[:, None] + torch.arange(int(lengths.max()), device=first.device)
    return rows.ids.gather(1, column.clamp(max=rows.ids.shape[1] - 1))


def _columns(tensor: Tensor, column: Tensor) -> Tensor:
    """Each row's own columns [k, C] of [k, T, d] or [k, heads, T, d]."""
    column = column.to(tensor.device)
    index = column[:, :, None] if tensor.ndim == 3 else column[:, None, :, None]
    return torch.take_along_dim(tensor, index, dim=-2)


def _beside(output: Any) -> tuple[Any, ...] | None:
    """What a block hands on beside the stream; None where it hands on a bare tensor."""
    return None if torch.is_tensor(output) else output[1:]
