"""Forward passes that do only what is needed: in chunks of similar length, up to a module, or on from a block."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn
from transformers import DynamicCache

from editharness.models.capture import Side, capture, replaced
from editharness.models.spans import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.rows import Rows
    from editharness.models.modules import ModuleMap
    from editharness.models.spans import Prompts


def chunks(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in chunks of about `budget` tokens after padding, sorted by length so that little is padding."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    chunk: list[int] = []
    for index in order:
        if chunk and (len(chunk) + 1) * lengths[index] > budget:
            yield chunk
            chunk = []
        chunk.append(index)
    if chunk:
        yield chunk


def read(model: nn.Module, prompts: Prompts, wanted: Mapping[str, Side], *, budget: int = 4096) -> dict[str, Tensor]:
    """Inputs or outputs of modules at every row's subject-last token: name -> [rows, d] fp32, in the rows' order.

    Nothing above the last of the wanted modules is computed.
    """
    device = next(model.parameters()).device
    found: dict[str, list[Tensor]] = {name: [] for name in wanted}
    order: list[int] = []
    for rows in chunks(prompts.mask.sum(dim=1).tolist(), budget):
        part = prompts.select(torch.tensor(rows)).to(device)
        with torch.no_grad(), capture(model, wanted, part.subject_last, stop=True) as seen:
            model(input_ids=part.ids, attention_mask=part.mask, use_cache=False)
        for name in wanted:
            found[name].append(seen[name].float())
        order += rows
    back = torch.tensor(order, device=device).argsort()
    return {name: torch.cat(parts)[back] for name, parts in found.items()}


Site = Literal["block", "mlp", "attention"]
"""What a searched vector is added to: the residual stream after a layer, its MLP's output, its attention's output."""


@dataclass(frozen=True)
class Frozen:
    """What a value search at `layer` never changes, for rows aligned where the searched vectors enter.

    seen: per site its output there [rows, d]. base: the last layer that the search does not run again, -1 for none;
    stream [rows, S, d_h]: the residual stream after it from those tokens on (None for -1); tail: what that block hands
    on beside the stream (None where it hands on a bare tensor); past: per layer above it the attention keys and values
    of the `start` columns before.
    """

    stream: Tensor | None
    seen: Mapping[Site, Tensor]
    past: Mapping[int, tuple[Tensor, Tensor]]
    tail: tuple[Any, ...] | None
    layer: int
    base: int
    start: int

    def without(self, gone: Tensor) -> Frozen:
        """The rows that are not `gone`."""
        past = {layer: (keys[~gone], values[~gone]) for layer, (keys, values) in self.past.items()}
        stream = None if self.stream is None else self.stream[~gone]
        return replace(self, stream=stream, seen={site: seen[~gone] for site, seen in self.seen.items()}, past=past)

    def cache(self) -> DynamicCache:
        """The past as the model takes it. Skipped layers get an empty entry of the right length: models ask for it."""
        cache = DynamicCache()
        for layer in range(self.base + 1):
            empty = next(iter(self.seen.values())).new_zeros(1, 1, self.start, 1)
            cache.update(empty, empty, layer)
        for layer, (keys, values) in self.past.items():
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
    """One pass over the whole rows that keeps what a search at `layer` needs and what `sites` give out.

    A vector on the attention's output changes what the layer's own MLP sees: that layer is run again then.
    """
    base = layer - 1 if "attention" in sites else layer
    names = {site: site_name(modules, layer, site) for site in sites}
    below = modules.blocks[base] if base >= 0 else None
    tails: list[tuple[Any, ...] | None] = [None]
    recorder = _Recorder(base, rows.start)
    nowhere = torch.zeros(1, dtype=torch.long, device=rows.ids.device)
    wanted: dict[str, Side] = dict.fromkeys([*names.values(), *([below] if below else [])], "output")
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        if below is not None:
            stack.enter_context(_watching(model.get_submodule(below), lambda out: tails.append(_beside(out))))
        stack.enter_context(only_positions(model.get_submodule(modules.head), nowhere, nowhere))
        seen = stack.enter_context(capture(model, wanted))
        model(
            input_ids=rows.ids, attention_mask=rows.mask, position_ids=rows.position,
            past_key_values=recorder, use_cache=True,
        )  # fmt: skip
    stream = seen[below][:, rows.start :].clone() if below is not None else None
    read_off = {site: seen[name][:, rows.start].clone() for site, name in names.items()}
    return Frozen(stream, read_off, recorder.past, tails[-1], layer, base, rows.start)


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
    inside = frozen.base < frozen.layer
    dtype = next(iter(added.values())).dtype
    kept: dict[str, Tensor] = {}
    with ExitStack() as stack:
        if frozen.stream is not None:
            stream = frozen.stream[:, : rows.mask.shape[1] - rows.start]
            stream = stream if inside else _moved(stream, list(added.values()))
            handed = stream if frozen.tail is None else (stream, *frozen.tail)
            for name in modules.blocks[: frozen.base + 1]:
                stack.enter_context(_forward(model.get_submodule(name), lambda *args, **kwargs: handed))
        for site, delta in added.items() if inside else ():
            moved = partial(_moved, added=[delta])
            stack.enter_context(replaced(model, site_name(modules, frozen.layer, site), moved))
        if lens is not None:
            first = torch.zeros(len(rows.ids), dtype=torch.long, device=rows.ids.device)
            kept = stack.enter_context(capture(model, {modules.block(lens): "output"}, first, keep_grad=True))
        stack.enter_context(only_positions(model.get_submodule(modules.head), *asked))
        output = model(
            input_ids=rows.ids[:, rows.start :], attention_mask=rows.mask, position_ids=rows.position[:, rows.start :],
            past_key_values=frozen.cache(), use_cache=True,
        )  # fmt: skip
    looked = through_lens(model, modules, kept[modules.block(lens)]).to(dtype) if lens is not None else None
    return output.logits.to(dtype), looked


def speak(
    model: nn.Module, modules: ModuleMap, prompts: Prompts, asked: tuple[Tensor, Tensor], lens: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """Logits [positions, vocabulary] fp32 at `asked` (row, token) of whole rows, as the model is.

    With `lens` also the head's logits [rows, vocabulary] on that block's stream at the subject's last tokens.
    """
    wanted: dict[str, Side] = {} if lens is None else {modules.block(lens): "output"}
    with torch.no_grad():
        with (
            only_positions(model.get_submodule(modules.head), *asked),
            capture(model, wanted, prompts.subject_last) as seen,
        ):
            output = model(input_ids=prompts.ids, attention_mask=prompts.mask, use_cache=False)
        looked = through_lens(model, modules, seen[modules.block(lens)]).float() if lens is not None else None
    return output.logits.float(), looked


def through_lens(model: nn.Module, modules: ModuleMap, stream: Tensor) -> Tensor:
    """Logits [rows, vocabulary] of a residual stream [rows, d_h], as if it were the last block's (logit lens)."""
    normed = model.get_submodule(modules.final_norm)(stream)
    logits: Tensor = model.get_submodule(modules.head)(normed)
    return logits


def _beside(output: Any) -> tuple[Any, ...] | None:
    """What a block hands on beside the stream; None where it hands on a bare tensor."""
    return None if torch.is_tensor(output) else output[1:]


def _moved(stream: Tensor, added: Sequence[Tensor]) -> Tensor:
    """The stream [rows, S, d_h] with vectors [rows, d_h] added to its first column."""
    first = stream[:, :1]
    for delta in added:
        first = (first.to(delta.dtype) + delta[:, None]).to(stream.dtype)
    return torch.cat([first, stream[:, 1:]], dim=1)


@contextmanager
def only_positions(head: nn.Module, row: Tensor, position: Tensor) -> Iterator[None]:
    """The head sees these positions only, so that logits are [positions, vocabulary]."""
    hook = head.register_forward_pre_hook(lambda module, inputs: (inputs[0][row, position], *inputs[1:]))
    try:
        yield
    finally:
        hook.remove()


def label_losses(head: nn.Module, prompts: Prompts, forward: Callable[..., Any]) -> Tensor:
    """−log p of the labels, mean over a row's labels [rows] fp32; `forward` runs the model that `head` belongs to."""
    row, position = (prompts.labels != IGNORED).nonzero(as_tuple=True)
    with only_positions(head, row, position):
        output = forward(input_ids=prompts.ids, attention_mask=prompts.mask, use_cache=False)
    logp = output.logits.float().log_softmax(dim=-1)
    picked = logp.gather(1, prompts.labels[row, position][:, None])[:, 0]
    count = torch.bincount(row, minlength=len(prompts)).clamp(min=1)
    return torch.zeros(len(prompts), device=logp.device).index_add(0, row, -picked / count[row])


@contextmanager
def _watching(module: nn.Module, look: Callable[[Any], None]) -> Iterator[None]:
    hook = module.register_forward_hook(lambda module, inputs, output: look(output))
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _forward(module: nn.Module, function: Callable[..., Any]) -> Iterator[None]:
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = function
    try:
        yield
    finally:
        del module.__dict__["forward"]
        if own is not None:
            module.__dict__["forward"] = own
