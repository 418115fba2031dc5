"""Devices told apart on a machine that has one: tensors that know their place, and refuse to be mixed.

    with telling_places():
        spread(model, {"transformer.wte": 1, "transformer.h.0": 1, "transformer.h.1": 2, ...})
        method.edit(host, edits, {})      # RuntimeError where a tensor of place 1 meets one of place 2

Two CPU devices look like one to torch: it drops their number. Here a tensor on "cpu:1" is wrapped, stays there, and may
be used only with tensors of its place, as on a GPU; plain tensors are the host's. accelerate's own hooks move what goes
into a module, so a model is spread just as `--device-map` spreads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

HOST = torch.device("cpu")
_MOVES = ("aten._to_copy.default", "aten.copy_.default")
_INDEXED = ("aten.index.Tensor", "aten.index_put.default", "aten.index_put_.default")
"""Operations that take indices of the host beside tensors of a device, as torch has it."""


class Placed(Tensor):
    """A tensor `held` of the host that says it is on `device`, a CPU with a number."""

    held: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, device: torch.device) -> Placed:
        """Wrap; shape, strides and dtype are the inner tensor's."""
        made: Placed = Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype,
            device=device, requires_grad=inner.requires_grad,
        )  # fmt: skip
        made.held = inner.detach()
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Refuse mixed places, run on what is inside, and wrap again."""
        return _run(func, args, kwargs or {})

    def tolist(self) -> Any:
        """The values, which torch gives of no subclass by itself."""
        return self.held.tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        """The inner tensor with its place."""
        return f"Placed({self.held!r}, {self.device})"


class _Telling(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees what is made from nothing, and what leaves the host."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})


class _Making(TorchFunctionMode):
    """Sees `torch.tensor`, which goes round the dispatcher."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.tensor or kwargs.get("device") is None:
            return func(*args, **kwargs)
        place = torch.device(kwargs.pop("device"))
        return func(*args, **kwargs).to(place)


@contextmanager
def telling_places() -> Iterator[None]:
    """While this is open, "cpu:1" and "cpu:2" are two devices."""
    with _Making(), _Telling():  # type: ignore[no-untyped-call]
        yield


def spread(model: nn.Module, places: Mapping[str, int]) -> nn.Module:
    """Put modules at their places (module -> number from 1 on), by accelerate; inside `telling_places`."""
    from accelerate import dispatch_model

    devices = {name: torch.device("cpu", number) for name, number in places.items()}
    made: nn.Module = dispatch_model(model, devices, main_device=next(iter(devices.values())), force_hooks=True)
    return made


def _run(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = str(func)
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    wanted = kwargs.get("device")
    place = _checked(name, tensors) if name not in _MOVES else tensors[0].device
    if wanted is not None:
        kwargs = {**kwargs, "device": HOST}
        place = torch.device(wanted)
    out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    if name.split(".")[1].endswith("_") and tensors:
        return args[0]  # written in place
    if place.index is None:
        return out
    return tree_map(lambda leaf: Placed(leaf, place) if isinstance(leaf, Tensor) else leaf, out)


def _checked(name: str, tensors: list[Tensor]) -> torch.device:
    """The one place of an operation's tensors; numbers of the host go with any, and so do its indices."""
    if name in _INDEXED:
        tensors = [t for t in tensors if t.device.index is not None] or tensors[:1]
    many = {t.device for t in tensors if t.ndim > 0 or t.device.index is not None}
    if len(many) > 1:
        raise RuntimeError(f"{name}: tensors of several devices, {', '.join(sorted(map(str, many)))}")
    return next(iter(many), HOST)


def _inner(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, Placed) else leaf
