"""One call of a foreign function: its shape is checked, its surroundings come back, what it returned is understood."""

from __future__ import annotations

import inspect
import io
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from editharness.errors import MethodError, PluginError

if TYPE_CHECKING:
    from torch import nn

    from editharness.adapters.requests import Request
    from editharness.method import Host

Function = Callable[..., Any]
SHAPE = "(model, tok, requests, hparams)"
_IN_PLACE = ("copy", "return_orig_weights", "keep_original_weight")
"""What such functions may also take: the recording keeps the original weights, so all are declined."""
_PADDING = ("padding_side", "truncation_side", "pad_token")
_LOG = logging.getLogger(__name__)


def check_shape(function: Function) -> None:
    """Raise MethodError where `function` cannot be called with a model, a tokenizer, requests and hyperparameters."""
    if not callable(function):
        raise MethodError(f"{function!r} is no function: give one that takes {SHAPE}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C: seen when it is called
        return
    try:
        signature.bind(*range(4), **_declined(function))
    except TypeError as error:
        raise MethodError(
            f"{name_of(function)}{signature} does not fit ({error}): it must take {SHAPE}; "
            "bind what else it needs with functools.partial"
        ) from None


def call(function: Function, host: Host, requests: Sequence[Request], hparams: Any, writes: Sequence[str]) -> None:
    """Run it so that `host.model` holds its change. Raises PluginError where what it returned is no edited model."""
    import torch

    with _surroundings(host), torch.enable_grad():
        returned = function(host.model, host.tokenizer, list(requests), hparams, **_declined(function))
        edited = _edited(returned, host.model, name_of(function))
    if edited is not host.model:
        _take_over(edited, host.model, writes, name_of(function))


def name_of(function: Function) -> str:
    """What to call it in a message."""
    inner = getattr(function, "func", function)  # a functools.partial
    return getattr(inner, "__qualname__", type(inner).__name__)


def _declined(function: Function) -> dict[str, bool]:
    return {name: False for name in inspect.signature(function).parameters if name in _IN_PLACE}


def _edited(returned: Any, model: nn.Module, name: str) -> nn.Module:
    """The edited model among (model, original weights), model, or nothing."""
    from torch import nn

    first = returned[0] if isinstance(returned, tuple | list) and returned else returned
    if first is None:
        return model
    if hasattr(first, "merge_and_unload"):  # peft's adapters become weights
        first = first.merge_and_unload()
    if not isinstance(first, nn.Module):
        raise PluginError(
            f"{name} returned a {type(first).__name__}: return the edited model, (model, original weights), or nothing"
        )
    return first


def _take_over(edited: nn.Module, model: nn.Module, writes: Sequence[str], name: str) -> None:
    """Copy the weights in which another model differs; raises MethodError where it is not the same architecture."""
    import torch

    theirs = dict(edited.named_parameters())
    changed = {}
    for parameter, ours in model.named_parameters():
        other = theirs.get(parameter)
        if other is None or other.shape != ours.shape:
            raise MethodError(
                f"{name} returned a {type(edited).__name__} without the model's {parameter}: only changes of weights "
                "can be taken over; for a module around the model write a Method that gives a ModulePatch"
            )
        if not torch.equal(other.detach().to(ours.device), ours.detach()):
            changed[parameter] = other.detach()
    for parameter in changed:
        if not any(fnmatchcase(parameter, glob) for glob in writes):
            raise MethodError(f"{name} changed {parameter}, which its writes ({', '.join(writes)}) do not name")
    for parameter, value in changed.items():
        model.get_parameter(parameter).detach().copy_(value)


@contextmanager
def _surroundings(host: Host) -> Iterator[None]:
    """Seeds from the run, and afterwards the generators, the tokenizer's padding and standard output as they were."""
    import numpy
    import torch

    seed = int(torch.randint(2**31, (1,), generator=host.rng))
    before = random.getstate(), numpy.random.get_state()
    padding = {name: getattr(host.tokenizer, name, None) for name in _PADDING}
    said = io.StringIO()
    with torch.random.fork_rng(), redirect_stdout(said):
        torch.manual_seed(seed)
        random.seed(seed)
        numpy.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            numpy.random.set_state(before[1])
            for name, value in padding.items():
                setattr(host.tokenizer, name, value)
    for line in said.getvalue().splitlines():
        _LOG.info(line)
