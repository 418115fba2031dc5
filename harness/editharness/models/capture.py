"""See and replace what flows through named modules during a forward pass. Hooks are always removed.

    with capture(model, {modules.down_projection(5): "input"}) as seen:
        model(input_ids=prompts.ids, attention_mask=prompts.mask)
    keys = at(seen[modules.down_projection(5)], prompts.subject_last)         # [rows, d_k]

A module may give a tensor or a tuple whose first item is the tensor; a replacement is handed back in the same type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Literal

import torch
from torch import Tensor, nn

from editharness.errors import ModelError

Side = Literal["input", "output"]


class _Stop(Exception):
    """A signal from a hook to `capture`: everything was seen."""


@contextmanager
def capture(
    model: nn.Module,
    sides: Mapping[str, Side],
    rows_positions: Tensor | None = None,
    *,
    keep_grad: bool = False,
    stop: bool = False,
) -> Iterator[dict[str, Tensor]]:
    """Collect the input or output of modules: name -> [B, T, d], or [B, d] where `rows_positions` [B] picks a token.

    Detached unless `keep_grad`. A later forward pass inside the context overwrites an earlier one's. With `stop` the
    pass ends as soon as every module was seen, and so does the body of the `with`: put nothing after the pass there.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str, value: Any) -> None:
        tensor = _tensor(value, name)
        tensor = tensor if rows_positions is None else at(tensor, rows_positions)
        seen[name] = tensor if keep_grad else tensor.detach()
        if stop and len(seen) == len(sides):
            raise _Stop

    with ExitStack() as hooks:
        for name, side in sides.items():
            hooks.callback(_watch(submodule(model, name), name, side, keep).remove)
        with suppress(_Stop):
            yield seen


@contextmanager
def replaced(model: nn.Module, name: str, fn: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Give `fn(output)` on in place of the output [B, T, d] of a module.

    `fn` gets a copy that it may write into and must return the same shape. Nest contexts for several modules.
    """

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        given = _tensor(output, name)
        made = fn(given.clone())
        if made.shape != given.shape:
            raise ValueError(f"replacement for {name} has shape {tuple(made.shape)}, not {tuple(given.shape)}")
        return made if isinstance(output, Tensor) else type(output)((made, *output[1:]))

    handle = submodule(model, name).register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def at(tensor: Tensor, positions: Tensor) -> Tensor:
    """One token per row: [B, T, d] and positions [B] -> [B, d], a copy."""
    return tensor[torch.arange(len(tensor), device=tensor.device), positions.to(tensor.device)]


def submodule(model: nn.Module, name: str) -> nn.Module:
    """The module of a dotted name; raises ModelError where the model has none of it."""
    try:
        return model.get_submodule(name)
    except AttributeError:
        raise ModelError(f"the model has no module {name!r}") from None


def _watch(module: nn.Module, name: str, side: Side, keep: Callable[[str, Any], None]) -> Any:
    if side == "output":
        return module.register_forward_hook(lambda module, args, output: keep(name, output))
    return module.register_forward_pre_hook(
        lambda module, args, kwargs: keep(name, args if args else next(iter(kwargs.values()))), with_kwargs=True
    )


def _tensor(value: Any, name: str) -> Tensor:
    found = value if isinstance(value, Tensor) else value[0]
    if not isinstance(found, Tensor):
        raise ModelError(f"module {name!r} gives {type(found).__name__}, not a tensor")
    return found
