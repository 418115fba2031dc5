"""Recording in-place editing code: whatever it does to a model is read off as a patch and then undone.

with recording(model, "model.layers.*.mlp.down_proj.weight") as record:
    third_party_edit(model)                      # may write weights, swap modules, wrap them (peft), add hooks
record.patch                                     # the change, as dense deltas; the model is as it was
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from editharness.errors import MethodError
from editharness.patch import Dense, WeightPatch
from editharness.patch.writing import editable

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Recording:
    """What `recording` yields; `patch` is set when the context is left without an error."""

    patch: WeightPatch | None = None


@contextmanager
def recording(model: nn.Module, *globs: str) -> Iterator[Recording]:
    """Record the change of the parameters whose dotted names match (as file names do); raises MethodError if none does.

    On exit the model is as before: the bits of those parameters, every module's children, hooks and attributes,
    gradient and training flags. Other parameters must not be written to, since undoing that would need a copy of the
    model: MethodError names the first that was.
    """
    parameters = dict(model.named_parameters())
    watched = sorted(name for name in parameters if any(fnmatchcase(name, glob) for glob in globs))
    if not watched:
        raise MethodError(f"no parameter has a name like {', '.join(globs) or 'nothing'}: see model.named_parameters()")
    before = {name: editable(model, name).clone() for name in watched}
    others = {name: parameter._version for name, parameter in parameters.items() if name not in before}
    flags = {parameter: (parameter.requires_grad, parameter.grad) for parameter in parameters.values()}
    tree = [(module, _contents(module)) for module in model.modules()]
    record = Recording()
    try:
        yield record
        now = {name: _current(model, name, parameters[name]) for name in watched}
        changes = {
            name: now[name].float() - old.float() for name, old in before.items() if not torch.equal(now[name], old)
        }
        record.patch = WeightPatch({name: Dense(delta) for name, delta in changes.items()})
        wrong = next((name for name, version in others.items() if parameters[name]._version != version), None)
        if wrong is not None:
            raise MethodError(f"{wrong} was written to, but only {', '.join(globs)} is recorded: name it as well")
    finally:
        for module, contents in tree:
            _put_back(module, contents)
        for name, bits in before.items():
            parameters[name].detach().copy_(bits)
        for parameter, (flag, grad) in flags.items():
            parameter.requires_grad_(flag).grad = grad


_Contents = list[tuple[str, Any, dict[Any, Any] | None]]


def _contents(module: nn.Module) -> _Contents:
    """A module's attributes; of those that are mappings (children, parameters, hooks) also what they hold."""
    return [(key, value, dict(value) if isinstance(value, dict) else None) for key, value in module.__dict__.items()]


def _put_back(module: nn.Module, contents: _Contents) -> None:
    # mappings are refilled, not replaced: handles of hooks know them by identity
    for _, value, held in contents:
        if held is not None:
            value.clear()
            value.update(held)
    module.__dict__.clear()
    module.__dict__.update({key: value for key, value, _ in contents})


def _current(model: nn.Module, name: str, original: nn.Parameter) -> Tensor:
    """What stands under the name now: a new parameter put in its place counts; wrapped away, it is the original."""
    try:
        found = model.get_parameter(name)
    except AttributeError:
        found = original
    return found.detach() if found.shape == original.shape else original.detach()
