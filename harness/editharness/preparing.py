"""Training before editing: `Method.prepare`, once per model, method, options, train cases and seed, kept on disk."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.data.load import load_cases
from editharness.errors import EditHarnessError, MethodError, PluginError
from editharness.host import LocalHost
from editharness.method import Method
from editharness.models.load import weights_digest
from editharness.resume.tensors import plain
from editharness.seeing import needs_training, training_cases
from editharness.states import load_state, save_state
from editharness.types import Case, CaseSet, MethodSpec, State

if TYPE_CHECKING:
    from editharness.registry import Registered, Registry

_VERSION = 1


@dataclass(frozen=True)
class Prepared:
    """What a method brought along: its state, the seconds its training took when it was made, whether it was kept."""

    state: State
    seconds: float = 0.0
    kept: bool = False


@dataclass(frozen=True)
class Train:
    """The cases a method may train on, and how many others share a subject with an edit."""

    cases: tuple[Case, ...] = ()
    left_out: int = 0


def find_train(
    spec: MethodSpec, file: Path | None, registry: Registry, data: CaseSet, edited: Sequence[Case], *, offline: bool
) -> Train:
    """The train split of the data set, or all cases of `file`; nothing for a method that sees none of them.

    Raises UsageError where the method needs them and there are none.
    """
    if not needs_training(spec):
        return Train()
    if file is None:
        given: Sequence[Case] = [case for case in data.cases if case.split == "train"]
    else:
        given = load_cases(registry, data.name, file, offline=offline).cases
    usable = training_cases(spec, data.name, given, edited)
    return Train(usable, len(given) - len(usable))


def prepare(
    entry: Registered[MethodSpec], method: Method[Any], host: LocalHost, train: Sequence[Case], folder: Path | None
) -> Prepared:
    """The state of a method that trains, from `folder` where this very training is kept there; else trained now.

    A training that was interrupted goes on from what it last kept. Raises MethodError if it changed the model.
    """
    if not entry.spec.trains:
        return Prepared({})
    path = _path(entry, method, host, train, folder)
    found = _load(path)
    if found is not None:
        return found
    host.reseed("prepare")
    start = time.perf_counter()
    with host.keeping(path.with_suffix(".part") if path else None):
        state = _trained(entry.spec, method, host, train)
    made = Prepared({name: plain(tensor.detach().cpu()) for name, tensor in state.items()}, time.perf_counter() - start)
    if weights_digest(host.model) != host.loaded.digest:
        raise MethodError(f"method {entry.spec.name!r} did not leave the model as it found it after its training")
    if path is not None:
        save_state(made.state, path, {"seconds": str(made.seconds)})
        path.with_suffix(".part").unlink(missing_ok=True)
    return made


def is_prepared(
    entry: Registered[MethodSpec], method: Method[Any], host: LocalHost, train: Sequence[Case], folder: Path | None
) -> bool:
    """Whether `prepare` would find its result in `folder`."""
    return _load(_path(entry, method, host, train, folder)) is not None


def _path(
    entry: Registered[MethodSpec], method: Method[Any], host: LocalHost, train: Sequence[Case], folder: Path | None
) -> Path | None:
    return None if folder is None else folder / "prepared" / f"{key(entry, method, host, train)}.safetensors"


def key(entry: Registered[MethodSpec], method: Method[Any], host: LocalHost, train: Sequence[Case]) -> str:
    """Identity of a training: everything that its result depends on."""
    options = method.options
    parts = [
        _VERSION,
        [entry.spec.name, entry.spec.ref, str(entry.origin)],
        asdict(options) if is_dataclass(options) and not isinstance(options, type) else options,
        host.loaded.digest,
        host.seed,
        [{**asdict(case), "tags": sorted(case.tags)} for case in train],
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _load(path: Path | None) -> Prepared | None:
    found = load_state(path) if path is not None else None
    if found is None or "seconds" not in found[1]:
        return None
    return Prepared(found[0], float(found[1]["seconds"]), kept=True)


def _trained(spec: MethodSpec, method: Method[Any], host: LocalHost, train: Sequence[Case]) -> State:
    try:
        return method.prepare(host, train)
    except EditHarnessError:
        raise
    except Exception as error:
        raise PluginError(f"method {spec.name!r} ({spec.ref}) raised {type(error).__name__}: {error}") from error
