"""The instrument from Python: `import editharness as eh`, then `eh.evaluate`, `eh.edit`, `eh.edited`, `eh.load_cases`.

A model is a name (as after --model) or one that transformers has loaded, with its tokenizer; a method is a name or a
Method class. See docs/python.md.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.abilities import ability_names
from editharness.asking import quiet
from editharness.config import ROWS, RunConfig
from editharness.data import load
from editharness.data.own.facts import FIELDS, read_fact
from editharness.data.records import Record, RecordFault
from editharness.errors import DataError, EditError, MethodError, ScheduleError, UsageError
from editharness.facts import Writing, write
from editharness.method import Method
from editharness.models.given import lent
from editharness.opening import offline
from editharness.options import show
from editharness.patch import ModulePatch, Patch, RouterPatch, apply
from editharness.progress import live
from editharness.recording import make_record, write_run
from editharness.registry import Registry, load_plugins
from editharness.result import Result
from editharness.resume.folder import unfinished
from editharness.rows import generating
from editharness.runner import run
from editharness.seeing import needs_training, training_cases
from editharness.store import read_record
from editharness.store.record import run_id
from editharness.store.write import check_writable
from editharness.types import Case, CaseSet, MethodSpec, Schedule

if TYPE_CHECKING:
    from editharness.reporting import Reporter

Fact = Case | Mapping[str, str]
"""A case of a data set, or {"prompt": "The capital of {} is", "subject": "Kenya", "target": "Rome"}."""


def evaluate(
    model: Any = "pocket", method: str | type[Method[Any]] = "none", task: str = "negation_pocket", *,
    tokenizer: Any = None, edits: int = 100, schedule: str = "batch:100", limit: int | None = None,
    preset: str | None = None, settings: Mapping[str, Any] | None = None, seed: int = 0,
    checkpoints: Sequence[int] = (), abilities: str | Sequence[str] = (), data: Mapping[str, str | Path] | None = None,
    corpus: str | Path | None = None, train: str | Path | None = None, revision: str | None = None,
    dtype: str = "float32", device: str = "cpu", batch_size: int = ROWS, trust_remote_code: bool = False,
    output: str | Path | None = None, progress: bool = True,
) -> Result:  # fmt: skip
    """Write edits into a model, ask every question of a task, and give back the scores; as `editharness eval` does.

    `output`: the folder to write the record under (None: nothing is written). `settings`: options of the method. Of a
    loaded model, `dtype` and `device` are what they are; it comes back as it was. Raises EditHarnessError.
    """
    registry, name = _known(load_plugins(), method)
    names = ",".join([abilities] if isinstance(abilities, str) else abilities)
    config = RunConfig(
        method=name, task=task, model=model if isinstance(model, str) else "", revision=revision, preset=preset,
        settings=_texts(settings), edits=_counted("edits", edits), limit=limit, seed=seed,
        schedule=Schedule.parse(schedule), checkpoints=tuple(sorted(checkpoints)),
        abilities=ability_names(names) if names else (), dtype=dtype, device=device, batch_size=batch_size,
        data={key: Path(path) for key, path in (data or {}).items()}, corpus=_path(corpus), train=_path(train),
        output=_path(output) or Path("runs"), trust_remote_code=trust_remote_code,
    )  # fmt: skip
    _check(config, registry)
    if output is not None:
        check_writable(config.output)
    with _opened(model, tokenizer, config, registry) as (config, registry), live(shown=progress) as report:
        return _run(config, registry, report, written=output is not None)


def edit(
    model: Any, tokenizer: Any, method: str | type[Method[Any]], facts: Sequence[Fact], *, preset: str | None = None,
    settings: Mapping[str, Any] | None = None, schedule: str = "all", seed: int = 0, corpus: str | Path | None = None,
    train: Sequence[Case] = (), progress: bool = True,
) -> Patch:  # fmt: skip
    """What a method changes to make `facts` so, as a patch: the model itself is as it was. See `edited`.

    `train`: cases for a method that trains; those that share a subject with a fact are left out. Raises EditError for
    the first fact that could not be written.
    """
    registry, name = _known(load_plugins(), method)
    cases = [_case(fact, number) for number, fact in enumerate(facts, start=1)]
    if not cases:
        raise UsageError("facts: give one at least")
    plan = Schedule.parse(schedule)
    if not plan.carry:
        raise ScheduleError(f"schedule {schedule!r} makes a model per fact, not one patch: use all, batch:K")
    spec = registry.method(name)
    if needs_training(spec) and not train:
        raise UsageError(f"method {name!r} needs cases to train on: give other ones with train=")
    with lent(model, tokenizer) as loaded, quiet(), live(shown=progress) as report:
        report.stage(f"{name}: writing", len(cases))
        writing = Writing(name, loaded.name, preset=preset, settings=_texts(settings), schedule=plan, seed=seed,
                          corpus=_path(corpus))  # fmt: skip
        usable = training_cases(spec, "train", train, cases) if train else ()
        written = write(writing, registry, loaded, cases, usable, report.advance)
        patch = written.patch
        written.timeline.close()
    if written.failed:
        first = written.failed[0]
        raise EditError(f"fact {first.edit_id}: {first.reason} ({len(written.failed)} of {len(cases)} not written)")
    return patch


@contextmanager
def edited(model: Any, patch: Patch) -> Iterator[Any]:
    """The model with a patch applied, as a context; afterwards every bit is as before.

    Raises MethodError for a patch that rewrites requests and so is no change of the model.
    """
    if isinstance(patch, RouterPatch):
        raise MethodError(
            f"this patch ({patch.router.kind}) rewrites requests and leaves the model alone: ask it with evaluate()"
        )
    with apply(model, patch):
        if isinstance(patch, ModulePatch):  # its modules must know where prompts end
            with generating(model):
                yield model
        else:
            yield model


def load_cases(name: str, path: str | Path | None = None) -> CaseSet:
    """The cases of a registered data set, from `path` where one is given; raises DataError, UnknownNameError."""
    return load.load_cases(load_plugins(), name, _path(path), offline=offline())


def _known(registry: Registry, method: str | type[Method[Any]]) -> tuple[Registry, str]:
    """The registry that knows the method, and the name it has there."""
    if isinstance(method, str):
        return registry, registry.method(method).name
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise UsageError(f"method is a {type(method).__name__}: give a name, or a class derived from Method")
    name = method.__name__
    title = (method.__doc__ or name).strip().splitlines()[0]
    spec = MethodSpec(name, title, "", f"{method.__module__}:{name}", options=_options(method))
    return registry.with_method(spec, method), name


def _options(method: type[Method[Any]]) -> type[Any] | None:
    """The dataclass in `class Mine(Method[MyOptions])`."""
    for base in getattr(method, "__orig_bases__", ()):
        if typing.get_origin(base) is Method:
            (found,) = typing.get_args(base)
            return found if isinstance(found, type) and found is not type(None) else None
    return None


def _check(config: RunConfig, registry: Registry) -> None:
    """What can be known to be wrong before a model is loaded."""
    from editharness.presets import resolve

    resolve(registry.method(config.method), None, config.settings)
    registry.protocol_and_data(config.task)
    if config.limit is not None and config.limit > config.edits:
        raise UsageError(f"limit={config.limit}: only {config.edits} facts are written; ask at most that many")
    for name, path in config.data.items():
        registry.dataset(name)
        if not path.is_file():
            raise DataError(f"data {name}={path}: no such file")


@contextmanager
def _opened(model: Any, tokenizer: Any, config: RunConfig, registry: Registry) -> Iterator[tuple[RunConfig, Registry]]:
    """The configuration and the registry, in which a model that was handed over has a name."""
    if isinstance(model, str):
        if tokenizer is not None:
            raise UsageError("tokenizer goes with a loaded model; a model given by name brings its own")
        yield config, registry
        return
    with lent(model, tokenizer) as loaded:
        weight = next(loaded.model.parameters())
        dtype, device = str(weight.dtype).removeprefix("torch."), str(weight.device)
        named = replace(config, model=loaded.name, dtype=dtype, device=device)
        yield named, registry.with_model(loaded.name, loaded)


def _run(config: RunConfig, registry: Registry, report: Reporter, *, written: bool) -> Result:
    name = run_id(config.method, config.resolved())
    if not written:
        return Result(make_record(run(config, registry, report), registry, name))
    with unfinished(config.output, name, report.stage) as part:
        path = part.finished() or write_run(run(config, registry, report, part), registry, part)
        registry.run_finished(path)
    return Result(read_record(path), path)


def _case(fact: Fact, number: int) -> Case:
    if isinstance(fact, Case):
        return fact
    if not isinstance(fact, Mapping):
        raise UsageError(f"fact {number} is a {type(fact).__name__}: give a Case or a mapping with {', '.join(FIELDS)}")
    try:
        return read_fact(Record(number, fact))
    except RecordFault as fault:
        raise UsageError(f"fact {number}: {fault}") from fault


def _texts(settings: Mapping[str, Any] | None) -> dict[str, str]:
    """Options as one would type them, since a record holds the command that makes the run again."""
    return {key: value if isinstance(value, str) else show(value) for key, value in (settings or {}).items()}


def _counted(name: str, value: int) -> int:
    if value < 1:
        raise UsageError(f"{name}={value}: a whole number from 1")
    return value


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)
