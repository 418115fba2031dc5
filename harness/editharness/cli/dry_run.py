"""`editharness eval --dry-run`: what would be run, from the same plan as a run's, without a model and without a trace.

Times are scaled from an earlier run of the same method on the same model, number format and device, where --output
holds one; nothing else can tell them, and "unknown" says so. Memory is that run's peak, else estimated (`memory`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from editharness.cli.cache import size
from editharness.cli.common import Table
from editharness.errors import EditHarnessError, NotCachedError, UsageError
from editharness.memory import Estimate, Sizes, estimate, rows_within

if TYPE_CHECKING:
    from editharness.config import RunConfig
    from editharness.plan import Asked
    from editharness.protocol import EvalProtocol
    from editharness.registry import Registry
    from editharness.store import RunRecord
    from editharness.types import CaseSet

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
COLUMNS = (
    "method", "preset", "task", "edits", "schedule", "lm-eval tasks", "requests", "time", "memory", "how known",
)  # fmt: skip
UNKNOWN = "unknown"
_PER_CASE = ("asking", "screening", "controls", "abilities")
"""Phases whose time grows with the cases that are asked; editing grows with the edits, the rest is taken as it was."""


@dataclass(frozen=True)
class Planned:
    """One run as it would be. `requests` None: the data are not here."""

    config: RunConfig
    preset: str
    schedule: str
    tasks: Sequence[str]
    requests: int | None
    note: str = ""


def plan(config: RunConfig, registry: Registry, cases: Callable[[str, Path | None], CaseSet] | None = None) -> Planned:
    """What this run would do; raises EditHarnessError for what it would refuse. Nothing is downloaded.

    `cases` reads a data set that is here, for whoever plans many runs and has read it before.
    """
    from editharness.data.load import load_cases

    spec, (protocol_spec, data_spec) = registry.method(config.method), registry.protocol_and_data(config.task)
    protocol = cast("EvalProtocol", registry.resolve(protocol_spec.ref)())
    effective = config.schedule.limited(spec.max_batch)
    tasks = [task.format(data=data_spec.name) for task in dict.fromkeys(p.task for p in protocol.probes(effective, ()))]
    preset = _preset(config, registry)
    try:
        file = config.data.get(data_spec.name)
        data = cases(data_spec.name, file) if cases else load_cases(registry, data_spec.name, file, offline=True)
    except NotCachedError as error:
        return Planned(config, preset, str(effective), tasks, None, str(error))
    asked = _asked(config, registry, protocol, data)
    screened = "it first asks the unedited model which cases to take: counted without that, as if all stayed"
    note = screened if protocol.screening() else ""
    return Planned(config, preset, str(effective), tasks, asked.requests(), note)


def table(plans: Sequence[Planned], registry: Registry) -> Table:
    """The plans, each with its estimates and where they come from."""
    there = {output: records_in(output) for output in {one.config.output for one in plans}}
    return Table("plan", COLUMNS, [_row(one, registry, there[one.config.output]) for one in plans])


def seconds(config: RunConfig, records: Sequence[RunRecord]) -> float | None:
    """How long the run would take, scaled from the likest of these records; None: there is none."""
    earlier = _earlier(config, records)
    return None if earlier is None else _seconds(config, earlier)


def records_in(output: Path) -> list[RunRecord]:
    """The records below a folder; none where one of them cannot be read."""
    from editharness.store import find_records, read_record

    try:
        return [read_record(path) for path in find_records([output])] if output.is_dir() else []
    except EditHarnessError:
        return []


def _row(one: Planned, registry: Registry, records: Sequence[RunRecord]) -> tuple[object, ...]:
    config, earlier = one.config, _earlier(one.config, records)
    if earlier is not None:
        time, memory = f"about {_seconds(config, earlier):.0f} s", size(earlier.cost.peak_memory_bytes or 0)
        how = f"time scaled from run {earlier.id} of {earlier.created[:10]}, memory its peak"
    else:
        told = needed(config, registry)
        time, memory = UNKNOWN, UNKNOWN if told is None else f"about {size(told.total)}"
        kind = f"{config.method} on {config.model} ({config.dtype}, {config.device})"
        how = f"no earlier run of {kind} in {config.output}"
        if told is not None:
            parts = ", ".join(f"{name} {size(value)}" for name, value in vars(told).items() if value)
            how += f"; memory estimated: {parts}"
    requests = UNKNOWN if one.requests is None else one.requests
    return (config.method, one.preset, config.task, config.edits, one.schedule, list(one.tasks), requests, time, memory,
            "; ".join(part for part in (how, one.note) if part))  # fmt: skip


def _asked(config: RunConfig, registry: Registry, protocol: EvalProtocol, data: Any) -> Asked:
    """The questions of every row, as a run plans them."""
    from editharness.asking import task_forms
    from editharness.choosing import check_tasks, select_cases
    from editharness.plan import find_checkpoints, layout, plan_documents
    from editharness.runner import ALONE, CONTEXT, UNTOUCHED

    check_tasks(protocol, data.name, config, registry)
    cases = select_cases(data, protocol, config).cases[: config.edits]
    effective = ALONE if config.method == CONTEXT else config.schedule.limited(registry.method(config.method).max_batch)
    checkpoints = find_checkpoints(config.checkpoints, config.edits, effective, config.seed, protocol.checkpoints)
    rows = {CONTEXT: ALONE} | ({} if config.method == UNTOUCHED else {config.method: effective})
    arms = {
        row: {name: layout(f"{row}/{name}", [edit.id for edit in edits], schedule)
              for name, edits in protocol.arms(cases).items()}
        for row, schedule in rows.items()
    }  # fmt: skip
    return plan_documents(
        protocol.probes(effective, checkpoints.at), data.name, cases[: config.limit], arms, task_forms(registry),
        checkpoints=checkpoints,
    )  # fmt: skip


def _preset(config: RunConfig, registry: Registry) -> str:
    from editharness.presets import choose, folder_facts, load_presets

    spec, folder = registry.method(config.method), _folder(config, registry)
    if spec.presets is None:
        return ""
    if folder is None:
        return config.preset or UNKNOWN
    found = choose(load_presets(spec.presets), config.preset, folder_facts(folder))
    return found.name if found else "untuned"


def _folder(config: RunConfig, registry: Registry) -> Path | None:
    """Where the model's files are, if they are here."""
    from editharness.models.find import find_model

    packaged = {name: entry.spec.folder for name, entry in registry.models.items()}
    try:
        return find_model(config.model, revision=config.revision, offline=True, packaged=packaged).folder
    except EditHarnessError:
        return None


def needed(config: RunConfig, registry: Registry) -> Estimate | None:
    """The memory of a run, as estimated; None where the model's files are not here."""
    found = _sized(config, registry)
    return None if found is None else estimate(**found, rows=config.batch_size)


def within(config: RunConfig, registry: Registry, budget: int) -> RunConfig:
    """The run with as many rows asked at once as the budget allows; raises UsageError where not even one fits."""
    found = _sized(config, registry)
    if found is None:
        return config
    rows = rows_within(budget, config.batch_size, **found)
    if not rows:
        parts = ", ".join(f"{name} {size(value)}" for name, value in vars(estimate(**found, rows=1)).items() if value)
        raise UsageError(
            f"--memory {size(budget)}: {config.method} on {config.model} needs more even for one row at a time "
            f"({parts}); take a smaller model or --dtype bfloat16"
        )
    return replace(config, batch_size=rows)


def _sized(config: RunConfig, registry: Registry) -> dict[str, Any] | None:
    """What an estimate is made of: sizes of the model, layers that are edited, tokens of a value search."""
    folder = _folder(config, registry)
    if folder is None or not (folder / "config.json").is_file():
        return None
    sizes = Sizes.of(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    if sizes is None:
        return None
    options = _options(config, registry, folder)
    layers = getattr(options, "layers", ()) or (range(sizes.layers // 8, sizes.layers // 4 + 1) if options else ())
    return {
        "sizes": sizes, "weights": _weights(config, registry), "bytes_each": BYTES[config.dtype], "layers": layers,
        "moments": hasattr(options, "covariance_weight") or hasattr(options, "covariance"),
        "search_tokens": getattr(options, "row_tokens", 0),
    }  # fmt: skip


def _options(config: RunConfig, registry: Registry, folder: Path) -> Any:
    from editharness.presets import choose, folder_facts, load_presets, resolve

    spec = registry.method(config.method)
    presets = load_presets(spec.presets) if spec.presets else []
    preset = choose(presets, config.preset, folder_facts(folder))
    return resolve(spec, preset, config.settings, rows=config.batch_size).options


def _weights(config: RunConfig, registry: Registry) -> int:
    """Bytes of the weights in the run's number format, from the headers of their files; 0: not here."""
    from safetensors import safe_open

    folder, total = _folder(config, registry), 0
    for path in sorted(folder.glob("*.safetensors")) if folder else []:
        with safe_open(path, framework="numpy") as file:
            total += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118  no mapping
    return total * BYTES[config.dtype]


def _earlier(config: RunConfig, records: Sequence[RunRecord]) -> RunRecord | None:
    """The latest run that is alike: of this task, if there is one."""
    wanted = config.resolved()
    alike = [record for record in records if _fits(record.config.resolved, wanted)]
    return max(alike, key=lambda record: (record.task == config.task, record.created), default=None)


def _fits(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(there.get(key) == wanted[key] for key in ("method", "model", "dtype", "device"))


def _seconds(config: RunConfig, earlier: RunRecord) -> float:
    phases, edits = dict(earlier.cost.seconds_by_phase), max(1, earlier.schedule.edits)
    asked = sum(phases.pop(name, 0.0) for name in _PER_CASE) * (config.limit or config.edits) / edits
    editing = phases.pop("editing", 0.0) * config.edits / edits
    return sum(phases.values()) + editing + asked
