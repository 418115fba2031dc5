"""One run from configuration to record: load, select, edit every arm, ask every question in one pass, summarise.

The runner knows no method and no protocol by name but the control `context`, whose row no board may lack.
"""

from __future__ import annotations

import difflib
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, cast

from editharness.asking import ask, chat_renderer, task_forms
from editharness.cache import cache_folder
from editharness.config import RunConfig
from editharness.controls import columns_of, rows_of, series_of
from editharness.data.corpus import find_corpus
from editharness.data.load import load_cases
from editharness.documents import Render
from editharness.editing import Arm, write_arm
from editharness.errors import MethodError, ModelError, NotCachedError, UsageError
from editharness.health import Gauge, text_loss
from editharness.host import LocalHost
from editharness.method import Method
from editharness.models.load import LoadedModel, load_model
from editharness.plan import Checkpoints, find_checkpoints, plan_documents
from editharness.preparing import Prepared, Train, find_train, prepare
from editharness.presets import Resolved, choose, load_presets, model_facts, resolve
from editharness.protocol import Answer, Answers, Column, EvalProtocol, Probe, Row, Selection, Series
from editharness.registry import Registry
from editharness.seeing import show_arms
from editharness.timeline import Timeline
from editharness.types import Case, CaseSet, Edit, MethodSpec, ProtocolSpec, Schedule, State

CONTEXT = "context"
UNTOUCHED = "none"
ALONE = Schedule(1, carry=False)
"""How the control `context` is always run: one fact is told at a time, so that all boards have the same row."""
CORPUS_DOCUMENTS = 100_000
HEALTH_DOCUMENTS = 1000
"""Of so many texts at the head of the corpus a few are measured."""
SCREENED_AT_ONCE = 200


class Reporter(Protocol):
    """Hears how far a run is."""

    def stage(self, name: str, total: int | None = None) -> None:
        """The run enters a stage; `total` None: its length is not known."""

    def advance(self, done: int = 1) -> None:
        """`done` more of the current stage."""


@dataclass
class Clock:
    """Seconds by phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what runs inside, under `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


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
    controls: tuple[Row, ...]
    answers: Mapping[Row, Sequence[Answer]]
    seconds: Mapping[str, float]
    peak_memory_bytes: int


def run(config: RunConfig, registry: Registry, report: Reporter) -> Outcome:
    """Make one run; raises EditHarnessError for what the user can mend, before anything is written."""
    clock = Clock()
    method_spec = registry.method(config.method)
    protocol_spec, data_spec = registry.protocol_and_data(config.task)
    protocol = cast("EvalProtocol", registry.resolve(protocol_spec.ref)())
    with clock.phase("data"):
        report.stage("reading data")
        data = load_cases(
            registry, data_spec.name, config.data.get(data_spec.name), offline=offline(), progress=_downloading(report)
        )
        selection = protocol.select(_ordered([c for c in data.cases if c.split == "test"], config.seed))
        _enough(selection, config, data_spec.name)
    with clock.phase("model"):
        report.stage(f"loading {config.model}")
        loaded = _load(config, registry)
    render = chat_renderer(loaded.tokenizer)
    with clock.phase("screening"):
        selection = _screened(protocol, selection, config, registry, data_spec.name, loaded, render, report)
    cases = _first(selection, config, data_spec.name)
    with clock.phase("data"):
        train = find_train(method_spec, config.train, registry, data, cases, offline=offline())
    resolved = resolve(method_spec, _preset(method_spec, config, loaded), config.settings)
    registry.run_started(config)
    effective = ALONE if config.method == CONTEXT else config.schedule.limited(method_spec.max_batch)
    checkpoints = find_checkpoints(config.checkpoints, config.edits, effective, config.seed, protocol.checkpoints)
    gauge = _gauge(config, effective, loaded)
    host = _host(config, loaded, report)
    timeline = Timeline(loaded.model, host.masters, digest=loaded.digest)
    entry = registry.methods[config.method]
    with clock.phase("training"):
        report.stage(f"{config.method}: training" if method_spec.trains else "editing")
        method = cast("Method[Any]", registry.resolve(method_spec.ref)(resolved.options))
        prepared = prepare(entry, method, host, train.cases, cache_folder())
    arms = _write_arms(
        _editors(registry, config, method_spec, resolved, effective, prepared.state),
        {name: show_arms(protocol.arms(cases), cases, registry.method(name).sees, train.cases)
         for name in (CONTEXT, config.method)},
        registry, host, timeline, clock, report, checkpoints, gauge,
    )  # fmt: skip
    asked = plan_documents(
        protocol.probes(effective, checkpoints.at), data_spec.name, cases[: config.limit],
        {row: {name: arm.layout for name, arm in written.items()} for row, written in arms.items()},
        task_forms(registry), checkpoints=checkpoints, render=render,
    )  # fmt: skip
    with clock.phase("asking"):
        report.stage("asking", asked.requests())
        answered = ask(asked, registry, timeline, loaded, config.batch_size, report.advance)
    with clock.phase("digest"):
        digest_after = timeline.close()
    if digest_after != loaded.digest:
        raise MethodError(f"method {config.method!r} did not leave the model as it found it")
    answers = rows_of(answered, asked, cases[: config.limit], tuple(arms), protocol)
    columns = columns_of(protocol, answers, cases[: config.limit])
    series = series_of(protocol, answers, cases[: config.limit])
    health = text_loss({name: arm.readings for name, arm in arms.get(config.method, {}).items()})
    series[config.method] = (*series.get(config.method, ()), *health)
    return Outcome(
        config, method_spec, resolved, protocol_spec, protocol.digest(), protocol.ranked_by, data, selection, cases,
        train, prepared, loaded, digest_after,
        effective, arms.get(config.method, {}), columns, series, gauge, protocol.controls, answers, clock.seconds,
        peak_memory(),
    )  # fmt: skip


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
    timeline: Timeline, clock: Clock, report: Reporter, checkpoints: Checkpoints, gauge: Gauge | None,
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
                )  # fmt: skip
    return arms


def _ordered(cases: Sequence[Case], seed: int) -> list[Case]:
    """Seed 0 keeps the file's order, as papers do; any other seed draws an order of its own."""
    shuffled = list(cases)
    if seed:
        random.Random(seed).shuffle(shuffled)
    return shuffled


def _enough(selection: Selection, config: RunConfig, data: str) -> None:
    if config.edits > len(selection.cases):
        why = "".join(f"; {count} left out: {reason}" for reason, count in selection.refused.items())
        raise UsageError(
            f"--edits {config.edits}: data set {data!r} has only {len(selection.cases)} cases to edit{why}"
        )


def _first(selection: Selection, config: RunConfig, data: str) -> tuple[Case, ...]:
    _enough(selection, config, data)
    return selection.cases[: config.edits]


def _screened(
    protocol: EvalProtocol, selection: Selection, config: RunConfig, registry: Registry, data: str,
    loaded: LoadedModel, render: Render | None, report: Reporter,
) -> Selection:  # fmt: skip
    """The cases that the protocol keeps once the unedited model has answered, in order, until there are enough."""
    probes = [Probe(task, "", "unedited") for task in protocol.screening()]
    if not probes:
        return selection
    kept: list[Case] = []
    refused: Counter[str] = Counter(selection.refused)
    timeline = Timeline(loaded.model, digest=loaded.digest)
    step = max(config.edits, SCREENED_AT_ONCE)
    for start in range(0, len(selection.cases), step):
        cases = selection.cases[start : start + step]
        asked = plan_documents(probes, data, cases, {}, task_forms(registry), render=render)
        report.stage("asking the unedited model", asked.requests())
        answered = ask(asked, registry, timeline, loaded, config.batch_size, report.advance)
        found = protocol.screen(cases, Answers({case.id: case for case in cases}, answered))
        kept += found.cases
        refused.update(found.refused)
        if len(kept) >= config.edits:
            break
    return Selection(tuple(kept), refused, selection.facts)


def _gauge(config: RunConfig, effective: Schedule, loaded: LoadedModel) -> Gauge | None:
    """What measures the model's health where edits carry on; None where there is no text at hand and none is needed."""
    if config.stop_on_collapse and not effective.carry:
        raise UsageError(f"--stop-on-collapse: under {effective} no edit builds on another")
    if config.method in (UNTOUCHED, CONTEXT) or not effective.carry:
        return None
    try:
        # nothing is downloaded for a curve that nobody asked for
        ask_hub = config.stop_on_collapse and not offline()
        texts = find_corpus(config.corpus, loaded.folder, HEALTH_DOCUMENTS, offline=not ask_hub)
    except NotCachedError as error:
        if config.stop_on_collapse:
            raise UsageError("--stop-on-collapse needs ordinary text: pass --corpus FILE, one per line") from error
        return None
    return Gauge(loaded.model, loaded.tokenizer, texts, stop=config.stop_on_collapse)


def _load(config: RunConfig, registry: Registry) -> LoadedModel:
    packaged = {name: entry.spec.folder for name, entry in registry.models.items()}
    try:
        return load_model(
            config.model,
            revision=config.revision,
            dtype=config.dtype,
            device=config.device,
            trust_remote_code=config.trust_remote_code,
            offline=offline(),
            packaged=packaged,
        )
    except ModelError as error:
        near = difflib.get_close_matches(config.model, set(packaged) - {config.model}, n=1)
        if not near:
            raise
        raise ModelError(f"{error}; did you mean {near[0]!r}?") from error


def _downloading(report: Reporter) -> Callable[[int, int | None], None]:
    """Bytes so far and in all, as a data file comes in, on the run's progress bar."""
    seen = 0

    def progress(done: int, total: int | None) -> None:
        nonlocal seen
        if seen == 0:
            report.stage("downloading data (bytes)", total)
        report.advance(done - seen)
        seen = done

    return progress


def _preset(spec: MethodSpec, config: RunConfig, loaded: LoadedModel) -> Any:
    presets = load_presets(spec.presets) if spec.presets else []
    if config.preset is not None and not presets:
        raise UsageError(f"method {spec.name!r} has no presets: leave --preset out")
    return choose(presets, config.preset, model_facts(loaded.model.config))


def _host(config: RunConfig, loaded: LoadedModel, report: Reporter) -> LocalHost:
    def texts() -> Sequence[str]:
        return find_corpus(config.corpus, loaded.folder, CORPUS_DOCUMENTS, offline=offline())

    return LocalHost(
        loaded,
        seed=config.seed,
        texts=texts,
        cache=cache_folder(),
        progress=lambda done, total, what: report.advance(done),
    )


def offline() -> bool:
    """Whether the hub must not be asked: HF_HUB_OFFLINE is set."""
    return bool(os.environ.get("HF_HUB_OFFLINE"))


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
