"""Which cases a run edits: those of the test split that the protocol can use, in order, once it has screened them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from editharness.asking import ask, task_forms
from editharness.config import RunConfig
from editharness.data.load import editable_cases
from editharness.documents import Render
from editharness.errors import UsageError
from editharness.plan import plan_documents
from editharness.protocol import Answers, EvalProtocol, Probe, Selection
from editharness.registry import Registry
from editharness.reporting import Reporter
from editharness.resume.keeper import NOTHING, Keeper
from editharness.types import Case, CaseSet

if TYPE_CHECKING:
    from editharness.models.load import LoadedModel

SCREENED_AT_ONCE = 200


def check_tasks(protocol: EvalProtocol, data: str, config: RunConfig, registry: Registry) -> None:
    """Refuse a data set about which the protocol has no questions, before anything is loaded; raises UsageError."""
    probes = protocol.probes(config.schedule, config.checkpoints)
    tasks = {*protocol.screening(), *(probe.task for probe in probes)}
    able = [name for name in registry.datasets if all(task.format(data=name) in registry.tasks for task in tasks)]
    if data not in able:
        known = ", ".join(able) or "none"
        raise UsageError(f"protocol {protocol.name!r} has no tasks about data set {data!r}: it can ask about {known}")


def select_cases(data: CaseSet, protocol: EvalProtocol, config: RunConfig) -> Selection:
    """The test cases that the protocol can use, in the run's order; raises UsageError where they are too few."""
    selection = protocol.select(editable_cases(data, config.seed))
    _enough(selection, config, data.name)
    return selection


def screen_cases(
    protocol: EvalProtocol, selection: Selection, config: RunConfig, registry: Registry, data: str,
    loaded: LoadedModel, render: Render | None, report: Reporter, keeper: Keeper = NOTHING,
) -> Selection:  # fmt: skip
    """The cases that the protocol keeps once the unedited model has answered, in order, until there are enough."""
    from editharness.timeline import Timeline  # torch: whoever only selects does without

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
        answered = ask(asked, registry, timeline, loaded, config.batch_size, report.advance, keeper)
        found = protocol.screen(cases, Answers({case.id: case for case in cases}, answered))
        kept += found.cases
        refused.update(found.refused)
        if len(kept) >= config.edits:
            break
    screened = Selection(tuple(kept), refused, selection.facts)
    _enough(screened, config, data)
    return screened


def _enough(selection: Selection, config: RunConfig, data: str) -> None:
    if config.edits > len(selection.cases):
        why = "".join(f"; {count} left out: {reason}" for reason, count in selection.refused.items())
        raise UsageError(
            f"--edits {config.edits}: data set {data!r} has only {len(selection.cases)} cases to edit{why}"
        )
