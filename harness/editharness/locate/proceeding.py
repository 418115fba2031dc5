"""Passes that go on from what a value search never changes (`frozen`), with the searched vectors added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from editharness.locate.attending import Beside, beside
from editharness.locate.forward import only_first, only_positions, only_there, overriding, through_lens
from editharness.locate.frozen import Frozen, Part, Site, site_name
from editharness.models.capture import capture, replaced

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.rows import Rows
    from editharness.models.modules import ModuleMap


def proceed(
    model: nn.Module,
    modules: ModuleMap,
    rows: Rows,
    frozen: Frozen,
    added: Mapping[Site, Tensor],
    asked: Sequence[tuple[Tensor, Tensor]],
    lens: int | None = None,
) -> tuple[list[Tensor], Tensor | None]:
    """Logits [positions, vocabulary] at each of `asked` (row, column from `start` on), vectors [rows, d_h] added there.

    Rows are asked in the order of `frozen.order`. All comes in the vectors' dtype. With `lens` also the head's logits
    [rows, vocabulary] on that block's stream at `start`. The model itself makes its masks and rotations; the blocks up
    to `frozen.base` hand the stream on untouched, so this needs no knowledge of an architecture.
    """
    logits, looked = [], []
    for part in frozen.parts:
        local = torch.full((len(rows.ids),), -1, device=rows.ids.device)
        local[part.row] = torch.arange(len(part.row), device=local.device)
        mine = [(local[row][local[row] >= 0], column[local[row] >= 0]) for row, column in asked]
        row, column = (torch.cat(one) for one in zip(*mine, strict=True))
        moved = {site: delta[part.row] for site, delta in added.items()}
        said, seen = _proceed(model, modules, rows, frozen, part, moved, (row, column), lens)
        logits.append(torch.split(said, [len(row) for row, _ in mine]))
        looked.append(seen)
    through = None if lens is None else torch.cat([one for one in looked if one is not None])[frozen.order.argsort()]
    return [torch.cat(some) for some in zip(*logits, strict=True)], through


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
        for name, made in part.maps.items():
            stack.enter_context(only_first(model.get_submodule(name), made))
        if lens != modules.layers - 1:
            spare = [name for name in modules.read_where_asked() if name not in part.maps]
            stack.enter_context(only_there(map(model.get_submodule, spare), *asked))
        if frozen.apart:
            earliest = min(asked[1].tolist(), default=part.width - 1)
            last = {} if lens == modules.layers - 1 else {modules.layers - 1: earliest}
            stack.enter_context(beside(frozen.apart, part.past, last))
        output = model(
            input_ids=rows.ids[part.row, columns], attention_mask=rows.mask[part.row, part.left : end],
            position_ids=rows.position[part.row, columns], use_cache=True,
            past_key_values=Beside(rows.start - part.left) if frozen.apart else frozen.cache(part),
        )  # fmt: skip
    looked = through_lens(model, modules, kept[modules.block(lens)]) if lens is not None else None
    return output.logits.to(dtype), None if looked is None else looked.to(output.logits.device, dtype)


def _moved(stream: Tensor, added: Sequence[Tensor]) -> Tensor:
    """The stream [rows, S, d_h] with vectors [rows, d_h] added to its first column."""
    first = stream[:, :1]
    for delta in added:
        first = (first.to(delta.dtype) + delta[:, None].to(first.device)).to(stream.dtype)
    return torch.cat([first, stream[:, 1:]], dim=1)
