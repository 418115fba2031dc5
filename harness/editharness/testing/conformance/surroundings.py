"""All that a method must leave as it found it: taken down before a call, compared and put back after it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from editharness.errors import MethodError
from editharness.rows import rows
from editharness.testing.conformance.report import Fault

if TYPE_CHECKING:
    from torch import Tensor, nn

HOOKS = "hooks"
BY_NAME = ("requires_grad", "gradients", "train mode")
WHY_MODEL = "the next edit and every answer come from this model, so the edit reaches further than its patch says"
MENDS: Mapping[str, tuple[str, str]] = {
    "weights": (WHY_MODEL, "edit copies and return a patch, or write inside `with host.recording(...)`"),
    "modules": (WHY_MODEL, "swap modules inside `with host.recording(...)`, or return a ModulePatch"),
    "hooks": (
        WHY_MODEL,
        "use models.capture (capture, replaced), which removes its hooks, or remove yours in a finally",
    ),
    "attributes": (WHY_MODEL, "do not write to the model's modules; `with host.recording(...)` puts attributes back"),
    "gradients": (
        "the next backward pass adds to what was left, and memory grows",
        "use torch.autograd.grad, or set .grad to None in a finally",
    ),
    "requires_grad": (
        "other methods and the evaluation run with gradients on, slower and larger",
        "take gradients with respect to copies (torch.func.functional_call), or put the flags back in a finally",
    ),
    "train mode": ("dropout would make answers random", "never call model.train(); the model comes in eval mode"),
    "configuration": ("answers and exports depend on it", "pass such settings to the call instead of writing config"),
    "tokenizer": (
        "every later prompt is encoded otherwise",
        "use host.encode, which pads on the right whatever the tokenizer prefers; add no tokens",
    ),
    "torch's random state": ("the run's other random draws change", "draw with generator=host.rng"),
    "Python's random state": ("the run's other random draws change", "draw with host.rng"),
    "numpy's random state": ("the run's other random draws change", "draw with host.rng"),
    "torch's settings": (
        "they hold for the whole process",
        "use contexts (torch.no_grad, torch.enable_grad), not switches",
    ),
    "published rows": ("modules would take old rows for theirs", "publish with `with publishing(...)`"),
    "environment": ("it holds for the whole process", "set no environment variables"),
}


@dataclass(frozen=True)
class Surroundings:
    """A model, a tokenizer and the process as they are now."""

    model: nn.Module
    tokenizer: Any
    plain: Mapping[str, Any]
    bits: Mapping[str, Tensor]
    tree: list[tuple[str, nn.Module, dict[str, Any]]]
    random: tuple[Tensor, Any, Any]

    @classmethod
    def take(cls, model: nn.Module, tokenizer: Any) -> Surroundings:
        """Copies of the weights, the module tree with its attributes, settings, and the random states."""
        bits = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        tree = [(name, module, _contents(module)) for name, module in model.named_modules()]
        states = (torch.random.get_rng_state(), random.getstate(), np.random.get_state())
        return cls(model, tokenizer, _plain(model, tokenizer), bits, tree, states)

    def differences(self) -> list[tuple[str, str]]:
        """(aspect, what differs) of all that is not as it was; aspects are the keys of MENDS."""
        return [*self._modules(), *self._weights(), *self._settings(), *self._random()]

    def put_back(self) -> None:
        """Restore weights, modules, flags, random states and grad mode, so that the next check starts clean."""
        for _, module, contents in self.tree:
            _refill(module, contents)
        now = self.model.state_dict()
        with torch.no_grad():
            for name, old in self.bits.items():
                now[name].copy_(old)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self.plain["requires_grad"].get(name, False)).grad = None
        torch.random.set_rng_state(self.random[0])
        random.setstate(self.random[1])
        np.random.set_state(self.random[2])
        torch.set_grad_enabled(self.plain["torch's settings"]["grad enabled"])
        for name, value in self.plain["tokenizer"].items():
            if name in ("padding_side", "truncation_side", "pad_token", "model_max_length"):
                setattr(self.tokenizer, name, value)

    def _weights(self) -> Iterator[tuple[str, str]]:
        now = self.model.state_dict()
        for name in sorted(set(self.bits) | set(now)):
            if name not in now or name not in self.bits:
                yield "modules", f"{name} is {'gone' if name not in now else 'new'}"
            elif not _same_bits(self.bits[name], now[name]):
                yield "weights", f"{name} differs by up to {_gap(self.bits[name], now[name]):.3g}"

    def _modules(self) -> Iterator[tuple[str, str]]:
        now = dict(self.model.named_modules())
        known = {name: module for name, module, _ in self.tree}
        for name in sorted(set(known) | set(now)):
            if now.get(name) is not known.get(name):
                yield "modules", f"module {name or 'of the whole model'} is {_fate(known, now, name)}"
        for name, module, contents in self.tree:
            yield from _changed(name, contents, _contents(module))

    def _settings(self) -> Iterator[tuple[str, str]]:
        for aspect, value in _plain(self.model, self.tokenizer).items():
            before = self.plain[aspect]
            # parameters and modules that came or went are told as such
            keys = set(before) & set(value) if aspect in BY_NAME else set(before) | set(value)
            for key in sorted(keys):
                if before.get(key) != value.get(key):
                    yield aspect, f"{key} was {_short(before.get(key))}, is {_short(value.get(key))}"

    def _random(self) -> Iterator[tuple[str, str]]:
        if not torch.equal(self.random[0], torch.random.get_rng_state()):
            yield "torch's random state", "torch's global generator was used"
        if self.random[1] != random.getstate():
            yield "Python's random state", "Python's global generator was used"
        if not _same_state(self.random[2], np.random.get_state()):
            yield "numpy's random state", "numpy's global generator was used"


def faults(differences: list[tuple[str, str]], what: str) -> Iterator[Fault]:
    """One fault per aspect, naming the first difference and counting the others."""
    for aspect in dict.fromkeys(aspect for aspect, _ in differences):
        found = [text for kind, text in differences if kind == aspect]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        why, mend = MENDS[aspect]
        yield Fault(f"after {what}, {aspect} not as found: {found[0]}{more}", why, mend)


def _plain(model: Any, tokenizer: Any) -> dict[str, dict[str, Any]]:
    """Everything that compares with ==, by aspect."""
    parameters = dict(model.named_parameters())
    return {
        "requires_grad": {name: p.requires_grad for name, p in parameters.items()},
        "gradients": {name: p.grad is not None for name, p in parameters.items()},
        "train mode": {name or "the model": module.training for name, module in model.named_modules()},
        "configuration": {**_dict(model, "config"), **_dict(model, "generation_config")},
        "tokenizer": _tokenizer(tokenizer),
        "torch's settings": {
            "grad enabled": torch.is_grad_enabled(),
            "default dtype": str(torch.get_default_dtype()),
            "threads": torch.get_num_threads(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
        },
        "published rows": {"rows": _published()},
        # pytest names the running test there
        "environment": {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")},
    }


def _dict(model: Any, name: str) -> dict[str, Any]:
    found = getattr(model, name, None)
    return {} if found is None else {f"{name}.{key}": value for key, value in found.to_dict().items()}


def _tokenizer(tokenizer: Any) -> dict[str, Any]:
    names = ("padding_side", "truncation_side", "pad_token", "bos_token", "eos_token", "model_max_length")
    return {
        **{name: getattr(tokenizer, name, None) for name in (*names, "chat_template")},
        "size of the vocabulary": len(tokenizer),
        "special tokens": sorted(map(str, tokenizer.all_special_tokens)),
    }


def _published() -> bool:
    try:
        rows()
    except MethodError:
        return False
    return True


def _contents(module: nn.Module) -> dict[str, Any]:
    return {key: dict(value) if isinstance(value, dict) else value for key, value in module.__dict__.items()}


def _refill(module: nn.Module, contents: Mapping[str, Any]) -> None:
    for key in [key for key in module.__dict__ if key not in contents]:
        del module.__dict__[key]
    for key, value in contents.items():
        held = module.__dict__.get(key)
        if isinstance(value, dict) and isinstance(held, dict):
            # hooks' handles know their mapping by identity
            held.clear()
            held.update(value)
        else:
            module.__dict__[key] = value


def _changed(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Hooks, replaced parameters and other attributes of one module; children and training flags are seen elsewhere."""
    place = name or "the model"
    for key in sorted(set(before) | set(now)):
        old, new = before.get(key), now.get(key)
        if key in ("_modules", "training") or _alike(old, new):
            continue
        if HOOKS in key:
            count = len(new or ()) - len(old or ())
            yield HOOKS, f"{place} has {count} more {key.strip('_').replace('_', ' ')}"
        elif key in ("_parameters", "_buffers"):
            yield "modules", f"{place} has other {key.strip('_')} objects than before"
        else:
            yield "attributes", f"{place}.{key} was {_short(old)}, is {_short(new)}"


def _alike(old: Any, new: Any) -> bool:
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(old[key] is new[key] or _equal(old[key], new[key]) for key in old)
    return old is new or _equal(old, new)


def _equal(old: Any, new: Any) -> bool:
    return type(old) is type(new) and isinstance(old, int | float | str | tuple | list) and bool(old == new)


def _fate(known: Mapping[str, Any], now: Mapping[str, Any], name: str) -> str:
    if name not in now:
        return "gone"
    return "new" if name not in known else f"replaced by another {type(now[name]).__name__}"


def _same_state(old: Any, new: Any) -> bool:
    """Whether two of numpy's legacy states are equal: name, keys, position, cached Gaussian."""
    return old[0] == new[0] and np.array_equal(old[1], new[1]) and old[2:] == new[2:]


def _same_bits(old: Tensor, new: Tensor) -> bool:
    return old.shape == new.shape and old.dtype == new.dtype and torch.equal(_view(old), _view(new))


def _view(tensor: Tensor) -> Tensor:
    # as bytes, so that NaN equals NaN and -0 does not equal 0
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def _gap(old: Tensor, new: Tensor) -> float:
    return float((old.double() - new.double()).abs().max()) if old.shape == new.shape else float("inf")


def _short(value: object) -> str:
    text = value.__name__ if isinstance(value, Callable) and hasattr(value, "__name__") else repr(value)  # type: ignore[arg-type]
    return text if len(text) <= 60 else f"{text[:57]}..."
