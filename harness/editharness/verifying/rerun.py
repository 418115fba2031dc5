"""Asking the model again: some cases are edited again with the record's own configuration, and answer the same.

Where edits do not build on each other only these cases are edited (under `fresh:K`, with the others of their batch);
where they do, all edits are written again and these cases are asked. The unedited model is asked as well.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from editharness.asking import ask, chat_renderer
from editharness.cache import cache_folder
from editharness.config import RunConfig
from editharness.editing import Arm, write_arm
from editharness.errors import EditHarnessError
from editharness.health import Gauge
from editharness.host import LocalHost
from editharness.opening import offline, open_gauge, open_host, open_model
from editharness.plan import ArmLayout, Asked, Checkpoints, plan_documents
from editharness.preparing import Train, find_train, prepare
from editharness.presets import Resolved, choose, load_presets, model_facts, resolve
from editharness.protocol import Answer
from editharness.seeing import show_arms
from editharness.store import read_record, read_scores
from editharness.store.samples import Sample, read_samples
from editharness.store.write import SAMPLES
from editharness.timeline import Timeline
from editharness.types import Case, Edit, MethodSpec, State
from editharness.verifying.answers import key_of, name
from editharness.verifying.config import read_config
from editharness.verifying.findings import Finding, few
from editharness.verifying.here import Here
from editharness.verifying.plan import CONTEXT, UNTOUCHED, Key, Planned, checkpoints_of, plan_again

if TYPE_CHECKING:
    from editharness.method import Method
    from editharness.models.load import LoadedModel
    from editharness.verifying.places import Again


def rerun(path: Path, here: Here, again: Again) -> list[Finding]:
    """What the model now answers otherwise; a run that cannot be made here is an error that says why."""
    try:
        return list(_rerun(path, here, again))
    except EditHarnessError as error:
        return [Finding("error", path, "rerun", f"cannot be made here: {error}")]


def _rerun(path: Path, here: Here, again: Again) -> Iterator[Finding]:
    record, scores = read_record(path), read_scores(path.parent)
    config = _with_files(read_config(record.config.resolved), here)
    planned = plan_again(record, config, list(scores.clusters) if scores else [], here)
    loaded = open_model(config, here.registry)
    if loaded.digest != record.model.digest_before:
        problem = f"the model here has the weights {loaded.digest[:12]}, not {record.model.digest_before[:12]}"
        yield Finding("error", path, "model.digest_before", problem)
        return
    chosen = _chosen(planned.asked_cases, again)
    answered, asked = _asked_again(config, planned, chosen, loaded, here)
    stored = {key_of(sample): sample for sample in read_samples(path.parent)}
    yield from few(_differences(path.parent / SAMPLES, answered, asked, stored, again.tolerance))


def _with_files(config: RunConfig, here: Here) -> RunConfig:
    """Data files are recorded by name; where they are is said by --data, or known to the package."""
    return replace(config, data=dict(here.files))


def _chosen(cases: Sequence[Case], again: Again) -> tuple[Case, ...]:
    drawn = random.Random(again.seed).sample(range(len(cases)), min(again.cases, len(cases)))
    return tuple(cases[place] for place in sorted(drawn))


def _asked_again(
    config: RunConfig, planned: Planned, chosen: Sequence[Case], loaded: LoadedModel, here: Here
) -> tuple[list[Answer], Asked]:
    """Write the edits that the chosen cases need, and ask about these cases alone."""
    bench = _bench(config, planned, loaded, here)
    timeline, arms = bench.write(_needed(planned, chosen))
    if bench.drew() and not planned.effective.carry:
        # what an edit drew depends on how many came before it
        timeline.close()
        last = planned.cases.index(_needed(planned, chosen)[-1])
        timeline, arms = bench.write(planned.cases[: last + 1])
    asked = plan_documents(
        planned.protocol.probes(planned.effective, bench.checkpoints.at), planned.data, chosen, arms,
        here.forms, checkpoints=bench.checkpoints, render=chat_renderer(loaded.tokenizer),
    )  # fmt: skip
    answered = ask(asked, here.registry, timeline, loaded, config.batch_size, lambda done: None)
    timeline.close()
    return answered, asked


def _bench(config: RunConfig, planned: Planned, loaded: LoadedModel, here: Here) -> _Bench:
    registry, host = here.registry, open_host(config, here.registry, loaded, lambda done: None, config.moments)
    spec = registry.method(config.method)
    train = find_train(spec, config.train, registry, here.cases(planned.data), planned.cases, offline=offline())
    resolved = _resolved(spec, config, loaded)
    method = cast("Method[Any]", registry.resolve(spec.ref)(resolved.options))
    state = prepare(registry.methods[config.method], method, host, train.cases, cache_folder()).state
    gauge = None if config.method in (UNTOUCHED, CONTEXT) else open_gauge(config, registry, planned.effective, loaded)
    return _Bench(config, planned, here, host, spec, resolved, train, state, gauge, checkpoints_of(config, planned))


@dataclass(frozen=True)
class _Bench:
    """All that writing edits takes."""

    config: RunConfig
    planned: Planned
    here: Here
    host: LocalHost
    spec: MethodSpec
    resolved: Resolved
    train: Train
    state: State
    gauge: Gauge | None
    checkpoints: Checkpoints

    def write(self, cases: Sequence[Case]) -> tuple[Timeline, dict[str, dict[str, ArmLayout]]]:
        """Every arm of the method over these cases; a fresh method object each, as in a run."""
        timeline = Timeline(self.host.loaded.model, self.host.masters, digest=self.host.loaded.digest)
        if self.config.method in (UNTOUCHED, CONTEXT):
            return timeline, {}
        shown = show_arms(self.planned.protocol.arms(cases), cases, self.spec.sees, self.train.cases)
        return timeline, {
            self.config.method: {arm: self._arm(arm, edits, timeline).layout for arm, edits in shown.items()}
        }

    def _arm(self, arm: str, edits: Sequence[Edit], timeline: Timeline) -> Arm:
        method = cast("Method[Any]", self.here.registry.resolve(self.spec.ref)(self.resolved.options))
        return write_arm(
            self._name(arm), self.spec, method, edits, self.planned.effective, self.host, timeline,
            state=self.state, checkpoints=self.checkpoints.at, gauge=self.gauge,
        )  # fmt: skip

    def _name(self, arm: str) -> str:
        return f"{self.config.method}/{arm}"

    def drew(self) -> bool:
        """Whether the last arm that was written took random numbers from the host."""
        if self.config.method not in self.planned.arms:
            return False
        after = self.host.rng.get_state()
        self.host.reseed(self._name(list(self.planned.arms[self.config.method])[-1]))
        return not torch.equal(after, self.host.rng.get_state())


def _needed(planned: Planned, chosen: Sequence[Case]) -> Sequence[Case]:
    """The cases to edit: all where edits build on each other, else those in one batch with a chosen one."""
    size = planned.effective.size
    if planned.effective.carry or size is None:
        return planned.cases
    wanted = {case.id for case in chosen}
    batches = [planned.cases[i : i + size] for i in range(0, len(planned.cases), size)]
    return [case for batch in batches if any(case.id in wanted for case in batch) for case in batch]


def _resolved(spec: MethodSpec, config: RunConfig, loaded: LoadedModel) -> Resolved:
    presets = load_presets(spec.presets) if spec.presets else []
    return resolve(
        spec, choose(presets, config.preset, model_facts(loaded.model.config)), config.settings, rows=config.batch_size
    )


def _differences(
    path: Path, answered: Sequence[Answer], asked: Asked, stored: Mapping[Key, Sample], tolerance: float
) -> Iterator[Finding]:
    tasks = {template: task for task, template in asked.templates.items()}
    for a in answered:
        row, _, arm = a.arm.partition("/")
        key = (row, tasks[a.task], arm, a.moment, a.case, a.item, a.edits if a.moment == "checkpoint" else 0)
        sample = stored.get(key)
        if sample is None:
            yield Finding("error", path, name(key), "was not answered in the record")
        elif problem := _problem(a, sample, tolerance):
            yield Finding("error", path, name(key), problem)


def _problem(a: Answer, sample: Sample, tolerance: float) -> str:
    if a.text != sample.text:
        return f"asked again, the model says {a.text!r}, and the record {sample.text!r}"
    for score, value in a.scores.items():
        said = sample.scores.get(score)
        if said is None or not _near(said, value, tolerance if score.endswith("logprob") else 1e-6):
            return f"asked again, {score} is {value:.4f}, and the record says {said}"
    return ""


def _near(a: float, b: float, tolerance: float) -> bool:
    return str(a) == str(b) or math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
