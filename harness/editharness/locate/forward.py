"""Forward passes that do only what is needed: in chunks of similar length, up to a module, or on from a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import DynamicCache

from editharness.models.capture import Side, capture
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


@dataclass(frozen=True)
class Frozen:
    """What a value search never changes, for rows aligned at the subjects' last tokens.

    stream [rows, S, d_h]: the residual stream after the site's block from those tokens on; seen [rows, d]: the site's
    output there; past: per layer above the block the attention keys and values of the `start` columns before them;
    tail: what the block hands on beside the stream (None where it hands on a bare tensor).
    """

    stream: Tensor
    seen: Tensor
    past: Mapping[int, tuple[Tensor, Tensor]]
    tail: tuple[Any, ...] | None
    layer: int
    start: int

    def without(self, gone: Tensor) -> Frozen:
        """The rows that are not `gone`."""
        past = {layer: (keys[~gone], values[~gone]) for layer, (keys, values) in self.past.items()}
        return replace(self, stream=self.stream[~gone], seen=self.seen[~gone], past=past)

    def cache(self) -> DynamicCache:
        """The past as the model takes it. Skipped layers get an empty entry of the right length: models ask for it."""
        empty = self.stream.new_zeros(1, 1, self.start, 1)
        cache = DynamicCache()
        for layer in range(self.layer + 1):
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


def freeze(model: nn.Module, modules: ModuleMap, layer: int, rows: Rows, site: str) -> Frozen:
    """One pass over the whole rows that keeps what a search at `layer` needs; `site` names the module that is read."""
    block = modules.block(layer)
    tails: list[tuple[Any, ...] | None] = []
    recorder = _Recorder(layer, rows.start)
    nowhere = torch.zeros(1, dtype=torch.long, device=rows.ids.device)
    with (
        torch.no_grad(),
        _watching(
            model.get_submodule(block), lambda output: tails.append(None if torch.is_tensor(output) else output[1:])
        ),
        only_positions(model.get_submodule(modules.head), nowhere, nowhere),
        capture(model, {site: "output", block: "output"}) as seen,
    ):
        model(
            input_ids=rows.ids, attention_mask=rows.mask, position_ids=rows.position,
            past_key_values=recorder, use_cache=True,
        )  # fmt: skip
    stream, read_off = seen[block][:, rows.start :].clone(), seen[site][:, rows.start].clone()
    return Frozen(stream, read_off, recorder.past, tails[-1], layer, rows.start)


def proceed(
    model: nn.Module, modules: ModuleMap, rows: Rows, frozen: Frozen, stream: Tensor, asked: tuple[Tensor, Tensor]
) -> Tensor:
    """Logits [positions, vocabulary] fp32 at `asked` (row, column of the stream) with `stream` after the site's block.

    The model itself makes its masks and rotations; the blocks up to the site hand the stream on untouched, so this
    needs no knowledge of an architecture.
    """
    handed = stream if frozen.tail is None else (stream, *frozen.tail)
    with ExitStack() as stack:
        for name in modules.blocks[: frozen.layer + 1]:
            stack.enter_context(_forward(model.get_submodule(name), lambda *args, **kwargs: handed))
        stack.enter_context(only_positions(model.get_submodule(modules.head), *asked))
        output = model(
            input_ids=rows.ids[:, rows.start :], attention_mask=rows.mask, position_ids=rows.position[:, rows.start :],
            past_key_values=frozen.cache(), use_cache=True,
        )  # fmt: skip
    logits: Tensor = output.logits
    return logits.float()


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
