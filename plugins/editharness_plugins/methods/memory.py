"""What memories beside a layer share: the module below them, one edit at a time, passes that begin at their block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from torch import nn

from editharness.errors import EditError, MethodError
from editharness.method import Host, Method, OptionsT
from editharness.models.capture import submodule
from editharness.types import Edit, State, Status, Step

if TYPE_CHECKING:
    from editharness.models.modules import ModuleMap


class Memory(nn.Module):
    """A module that stands in for `original` and still asks it."""

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        self.original = original


class OneByOne(Method[OptionsT]):
    """A method that writes one edit at a time: an author defines `write`."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """One edit; where it cannot be made, a failed status, and the state as it was."""
        if len(edits) != 1:
            raise MethodError(f"{type(self).__name__} makes one edit at a time, got {len(edits)}")
        try:
            return self.write(host, edits[0], state)
        except EditError as error:
            return Step(None, state, (Status(edits[0].id, "failed", str(error)),))

    def write(self, host: Host, edit: Edit, state: State) -> Step:
        """The edit's patch, which holds all earlier edits of `state` too; raises EditError."""
        raise NotImplementedError(f"{type(self).__name__} must define write()")


@contextmanager
def bare(model: nn.Module, path: str) -> Iterator[nn.Module]:
    """The model without the memory that earlier edits left at `path`; yields the module that stood there first."""
    now = submodule(model, path)
    first = now.original if isinstance(now, Memory) else now
    _put(model, path, first)
    try:
        yield first
    finally:
        _put(model, path, now)


@contextmanager
def skipping(model: nn.Module, modules: ModuleMap, layer: int) -> Iterator[None]:
    """The first pass inside runs whole; later ones, over the same rows, begin at the block of `layer`.

    The blocks below hand on what the last of them gave in the first pass: they are the same whatever is tried above.
    """
    given: list[Any] = []
    below = [submodule(model, name) for name in modules.blocks[:layer]]
    with ExitStack() as stack:
        if below:
            hook = below[-1].register_forward_hook(lambda module, args, output: given.append(output))
            stack.callback(hook.remove)
        for block in below:
            stack.enter_context(_handing_on(block, given))
        yield


@contextmanager
def _handing_on(block: nn.Module, given: list[Any]) -> Iterator[None]:
    own = block.forward
    shadowed = block.__dict__.get("forward")
    block.__dict__["forward"] = lambda *args, **kwargs: given[0] if given else own(*args, **kwargs)
    try:
        yield
    finally:
        del block.__dict__["forward"]
        if shadowed is not None:
            block.__dict__["forward"] = shadowed


def _put(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, child = path.rpartition(".")
    setattr(submodule(model, parent), child, module)
