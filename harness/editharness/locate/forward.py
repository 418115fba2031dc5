"""Forward passes that do only what is needed: in chunks of similar length, up to a module, or on from a block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from editharness.models.capture import Side, capture
from editharness.models.spans import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

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


WORTH_A_PASS = 16
"""Columns of padding that must be saved before rows are run in one more forward pass (`benchmarks/speed`)."""
WORTH_A_PASS_BACK = 96
"""The same of a pass that also goes back, through a few layers."""
WORTH_A_LAUNCH = 512
"""The same of any pass where operations are launched on a device beside the processor: an estimate, not measured."""


def worth_a_pass(device: torch.device, *, gradient: bool = False) -> int:
    """The one of these that holds."""
    if device.type != "cpu":
        return WORTH_A_LAUNCH
    return WORTH_A_PASS_BACK if gradient else WORTH_A_PASS


def by_width(widths: Sequence[int], worth: int = WORTH_A_PASS) -> list[list[int]]:
    """Rows [k] in groups that are worth a forward pass each: cut where most columns of padding are saved."""
    if not widths:
        return []
    order = sorted(range(len(widths)), key=lambda row: (widths[row], row))
    whole = len(order) * widths[order[-1]]
    cuts = [at for at in range(1, len(order)) if widths[order[at - 1]] < widths[order[at]]]
    costs = {at: at * widths[order[at - 1]] + (len(order) - at) * widths[order[-1]] for at in cuts}
    best = min(costs, key=lambda at: costs[at], default=0)
    if not best or whole - costs[best] < worth:
        return [order]
    return [[part[i] for i in group] for part in (order[:best], order[best:])
            for group in by_width([widths[row] for row in part], worth)]  # fmt: skip


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
            found[name].append(seen[name].float().to(device))
        order += rows
    back = torch.tensor(order, device=device).argsort()
    return {name: torch.cat(parts)[back] for name, parts in found.items()}


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
    return output.logits.float(), None if looked is None else looked.to(output.logits.device)


def through_lens(model: nn.Module, modules: ModuleMap, stream: Tensor) -> Tensor:
    """Logits [rows, vocabulary] of a residual stream [rows, d_h], as if it were the last block's (logit lens)."""
    normed = model.get_submodule(modules.final_norm)(stream)
    logits: Tensor = model.get_submodule(modules.head)(normed)
    cap = modules.logit_cap
    return logits if cap is None else cap * torch.tanh(logits / cap)


@contextmanager
def only_positions(head: nn.Module, row: Tensor, position: Tensor) -> Iterator[None]:
    """The head sees these positions only, so that logits are [positions, vocabulary]."""

    def there(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = inputs[0]
        columns = hidden.shape[1]
        # positions may count from the end; the head may be on another device than the rows
        flat = (row * columns + position % columns).to(hidden.device)
        return (hidden.flatten(0, 1).index_select(0, flat), *inputs[1:])

    hook = head.register_forward_pre_hook(there)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def only_there(modules: Iterable[nn.Module], row: Tensor, position: Tensor) -> Iterator[None]:
    """Modules that treat every position alone are run at these [k] only; elsewhere they give zeros."""

    @cache
    def places(columns: int) -> Tensor:
        # each place once: a gradient must not come back twice
        flat: Tensor = torch.unique(row * columns + position % columns)
        return flat

    def at_places(own: Callable[..., Tensor], hidden: Tensor, *rest: Any, **named: Any) -> Tensor:
        rows, columns = hidden.shape[:2]
        flat = places(columns).to(hidden.device)
        made = own(hidden.flatten(0, 1).index_select(0, flat)[None], *rest, **named)[0]
        return made.new_zeros(rows * columns, made.shape[-1]).index_copy(0, flat, made).view(rows, columns, -1)

    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(overriding(module, partial(at_places, module.forward)))
        yield


@contextmanager
def only_first(module: nn.Module, rest: Tensor) -> Iterator[None]:
    """A module that treats every position alone is run at the first; all others are as in `rest` [B, T, d]."""
    own = module.forward

    def forward(hidden: Tensor, *args: Any, **named: Any) -> Tensor:
        return torch.cat([own(hidden[:, 0], *args, **named)[:, None], rest[:, 1:]], dim=1)

    with overriding(module, forward):
        yield


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
def overriding(module: nn.Module, function: Callable[..., Any]) -> Iterator[None]:
    """While this is open, the module computes `function`; hooks on it still run."""
    own = module.__dict__.get("forward")
    module.__dict__["forward"] = function
    try:
        yield
    finally:
        del module.__dict__["forward"]
        if own is not None:
            module.__dict__["forward"] = own
