"""One run from configuration to record: load, select, edit every arm, ask every question in one pass, summarise.

The runner knows no method and no protocol by name but the control `context`, whose row no board may lack.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from editharness.abilities import Ability, ask_abilities, load_abilities
from editharness.asking import ask, chat_renderer, task_forms
from editharness.cache import cache_folder
from editharness.choosing import check_tasks, screen_cases, select_cases
from editharness.config import RunConfig
from editharness.controls import columns_of, rows_of, series_of
from editharness.data.load import load_cases
from editharness.editing import Arm, write_arm
from editharness.errors import MethodError, UsageError
from editharness.health import Gauge, text_loss
from editharness.host import LocalHost
from editharness.method import Method
from editharness.models.load import LoadedModel
from editharness.models.placing import devices
from editharness.opening import offline, open_gauge, open_host, open_model
from editharness.plan import Checkpoints, find_checkpoints, plan_documents
from editharness.preparing import Prepared, Train, find_train, is_prepared, prepare
from editharness.presets import Resolved, choose, load_presets, model_facts, resolve
from editharness.protocol import Answer, Column, EvalProtocol, Row, Selection, Series
from editharness.registry import Registry
from editharness.reporting import Clock, Reporter, downloading
from editharness.resume.folder import Unfinished
from editharness.resume.identity import identity
from editharness.resume.keeper import NOTHING, Entry, Keeper
from editharness.resume.steps import ArmSteps
from editharness.seeing import show_arms
from editharness.timeline import Timeline
from editharness.types import Case, CaseSet, Edit, MethodSpec, ProtocolSpec, Schedule, State

CONTEXT = "context"
UNTOUCHED = "none"
ALONE = Schedule(1, carry=False)
"""How the control `context` is always run: one fact is told at a time, so that all boards have the same row."""


@dataclass(frozen=True)
class Outcome:
    """All that a run found, ready to be written as a record."""

    config: RunConfig
    method: MethodSpec
    resolved: Resolved
    protocol: ProtocolSpec
    protocol_hash: str
    ranked_by: str
    data: CaseSet
    selection: Selection
    cases: tuple[Case, ...]
    train: Train
    prepared: Prepared
    model: LoadedModel
    digest_after: str
    effective: Schedule
    arms: Mapping[str, Arm]
    columns: Mapping[Row, tuple[Column, ...]]
    series: Mapping[Row, tuple[Series, ...]]
    gauge: Gauge | None
    chat_template: str | None
    controls: tuple[Row, ...]
    answers: Mapping[Row, Sequence[Answer]]
    seconds: Mapping[str, float]
    peak_memory_bytes: int
    imported: tuple[str, ...] = ()


def run(config: RunConfig, registry: Registry, report: Reporter, part: Unfinished | None = None) -> Outcome:
    """Make one run; raises EditHarnessError for what the user can mend, before anything is written.

    `part` keeps what is made, and has what an interrupted run of the same configuration made before.
    """
    clock = Clock()
    spec = registry.method(config.method)
    protocol_spec, data_spec = registry.protocol_and_data(config.task)
    protocol = cast("EvalProtocol", registry.resolve(protocol_spec.ref)())
    check_tasks(protocol, data_spec.name, config, registry)
    effective = ALONE if config.method == CONTEXT else config.schedule.limited(spec.max_batch)
    checkpoints = _checkpoints(config, effective, protocol)
    with clock.phase("data"):
        report.stage("reading data")
        file = config.data.get(data_spec.name)
        data = load_cases(registry, data_spec.name, file, offline=offline(), progress=downloading(report))
        selection = select_cases(data, protocol, config)
        abilities = load_abilities(config.abilities, registry)
    with clock.phase("model"):
        report.stage(f"loading {config.model}")
        loaded = open_model(config, registry)
        _one_device(spec, loaded)
        render = chat_renderer(loaded.tokenizer)
        resolved = resolve(spec, _preset(spec, config, loaded), config.settings, rows=config.batch_size)
    keeper = part.open(identity(config, registry, loaded, data.sha256, resolved.values)) if part else NOTHING
    clock.add(keeper.facts("clock") or {})
    keeper.clock = clock.so_far
    with clock.phase("screening"):
        selection = screen_cases(protocol, selection, config, registry, data.name, loaded, render, report, keeper)
        cases = selection.cases[: config.edits]
        train = find_train(spec, config.train, registry, data, cases, offline=offline())
    registry.run_started(config)
    gauge = None if config.method in (UNTOUCHED, CONTEXT) else open_gauge(config, registry, effective, loaded)
    host = open_host(config, registry, loaded, report.advance, config.moments)
    timeline = Timeline(loaded.model, host.masters, digest=loaded.digest)
    with clock.phase("training"):
        report.stage(f"{config.method}: training" if spec.trains else "editing")
        prepared = _prepared(config.method, resolved, registry, host, train, keeper)
    arms = _write_arms(
        _editors(registry, config, spec, resolved, effective, prepared.state),
        {name: show_arms(protocol.arms(cases), cases, registry.method(name).sees, train.cases)
         for name in (CONTEXT, config.method)},
        registry, host, timeline, clock, report, checkpoints, gauge, keeper,
    )  # fmt: skip
    asked = plan_documents(
        protocol.probes(effective, checkpoints.at), data.name, cases[: config.limit],
        {row: {name: arm.layout for name, arm in written.items()} for row, written in arms.items()},
        task_forms(registry), checkpoints=checkpoints, render=render,
    )  # fmt: skip
    with clock.phase("asking"):
        report.stage("asking", asked.requests())
        answered = ask(asked, registry, timeline, loaded, config.batch_size, report.advance, keeper)
    own = arms.get(config.method, {})
    with clock.phase("abilities"):
        beside = _abilities(abilities, own, checkpoints, timeline, loaded, config, report, keeper)
    with clock.phase("digest"):
        digest_after = timeline.close()
    if digest_after != loaded.digest:
        raise MethodError(f"method {config.method!r} did not leave the model as it found it")
    answers = rows_of(answered, asked, cases[: config.limit], tuple(arms), protocol)
    series = dict(series_of(protocol, answers, cases[: config.limit]))
    series[config.method] = (*series.get(config.method, ()), *_text_loss(own), *beside)
    return Outcome(
        config, spec, resolved, protocol_spec, protocol.digest(), protocol.ranked_by, data, selection, cases,
        train, prepared, loaded, digest_after, effective, own, columns_of(protocol, answers, cases[: config.limit]),
        series, gauge, loaded.tokenizer.chat_template if asked.chat else None, protocol.controls, answers,
        clock.seconds, peak_memory(), host.imported(),
    )  # fmt: skip


def _one_device(spec: MethodSpec, loaded: LoadedModel) -> None:
    """Raise UsageError for a model over several devices and a method whose modules cannot follow it there."""
    found = devices(loaded.model)
    if spec.effect == "modules" and len(found) > 1:
        raise UsageError(
            f"method {spec.name!r} puts modules of its own into the model, which is spread over {', '.join(found)}: "
            "give it one device with --device"
        )


def _prepared(
    name: str, resolved: Resolved, registry: Registry, host: LocalHost, train: Train, keeper: Keeper
) -> Prepared:
    """What the method makes of its training cases, or has made of them before."""
    entry = registry.methods[name]
    method = cast("Method[Any]", registry.resolve(entry.spec.ref)(resolved.options))
    if entry.spec.trains and keeper.facts("trained before") is None:
        keeper.put("trained before", Entry(is_prepared(entry, method, host, train.cases, cache_folder())))
        keeper.flush()
    prepared = prepare(entry, method, host, train.cases, cache_folder())
    return replace(prepared, kept=prepared.kept and keeper.facts("trained before") is not False)


def _text_loss(arms: Mapping[str, Arm]) -> Sequence[Series]:
    return text_loss({name: arm.readings for name, arm in arms.items()})


def _checkpoints(config: RunConfig, effective: Schedule, protocol: EvalProtocol) -> Checkpoints:
    """When carried arms are asked; raises UsageError for what the schedule cannot give, before any work is done."""
    for flag, given in (("--abilities", config.abilities), ("--stop-on-collapse", config.stop_on_collapse)):
        if given and not effective.carry:
            raise UsageError(f"{flag}: under {effective} no edit builds on another; use sequential, batch:K or all")
    return find_checkpoints(config.checkpoints, config.edits, effective, config.seed, protocol.checkpoints)


@dataclass(frozen=True)
class Editor:
    """A row that edits: the method of the run, or the control `context`."""

    row: Row
    spec: MethodSpec
    options: Any
    schedule: Schedule
    state: State = field(default_factory=dict)


def _editors(
    registry: Registry, config: RunConfig, spec: MethodSpec, resolved: Resolved, effective: Schedule, state: State
) -> list[Editor]:
    told = Editor(CONTEXT, registry.method(CONTEXT), None, ALONE)
    if config.method in (UNTOUCHED, CONTEXT):
        return [told]
    return [told, Editor(config.method, spec, resolved.options, effective, state)]


def _write_arms(
    editors: Sequence[Editor], edits: Mapping[Row, Mapping[str, Sequence[Edit]]], registry: Registry, host: LocalHost,
    timeline: Timeline, clock: Clock, report: Reporter, checkpoints: Checkpoints, gauge: Gauge | None, keeper: Keeper,
) -> dict[Row, dict[str, Arm]]:  # fmt: skip
    """Every row's arms; a fresh method object each, so that no arm sees another's state."""
    arms: dict[Row, dict[str, Arm]] = {}
    for editor in editors:
        for name, arm_edits in edits[editor.row].items():
            report.stage(f"{editor.spec.name}: writing the {name} edits", len(arm_edits))
            method = cast("Method[Any]", registry.resolve(editor.spec.ref)(editor.options))
            with clock.phase("controls" if editor.row == CONTEXT else "editing"):
                arms.setdefault(editor.row, {})[name] = write_arm(
                    f"{editor.row}/{name}", editor.spec, method, arm_edits, editor.schedule, host, timeline,
                    partial(registry.edits_applied, editor.row), editor.state, checkpoints.at, gauge,
                    ArmSteps(f"{editor.row}/{name}", keeper, registry.recipe_kinds(editor.spec)),
                )  # fmt: skip
    return arms


def _abilities(
    abilities: Sequence[Ability], arms: Mapping[str, Arm], checkpoints: Checkpoints, timeline: Timeline,
    loaded: LoadedModel, config: RunConfig, report: Reporter, keeper: Keeper,
) -> list[Series]:  # fmt: skip
    """Along the first arm, which writes the facts plainly."""
    arm = next(iter(arms.values()), None)
    if not abilities or arm is None:
        return []
    report.stage("asking abilities", len(abilities))
    return ask_abilities(
        abilities, arm.layout, checkpoints.at, timeline, loaded, config.batch_size, config.ability_limit,
        lambda done: report.advance(), keeper,
    )  # fmt: skip


def _preset(spec: MethodSpec, config: RunConfig, loaded: LoadedModel) -> Any:
    presets = load_presets(spec.presets) if spec.presets else []
    if config.preset is not None and not presets:
        raise UsageError(f"method {spec.name!r} has no presets: leave --preset out")
    return choose(presets, config.preset, model_facts(loaded.model.config))


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    # Linux hands ru_maxrss of whoever started the process on to it; VmHWM is its own
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
