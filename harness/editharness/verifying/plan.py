"""The plan of a recorded run, made again without a model: which cases it edits, and every question it must ask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from editharness.choosing import select_cases
from editharness.config import RunConfig
from editharness.documents import Document
from editharness.errors import RecordError
from editharness.plan import ArmLayout, Asked, Checkpoints, find_checkpoints, layout, plan_documents
from editharness.store import RunRecord
from editharness.types import Case, Schedule
from editharness.verifying.here import Here

if TYPE_CHECKING:
    from editharness.protocol import EvalProtocol, Moment, Row, Selection

CONTEXT, UNTOUCHED = "context", "none"
ALONE = Schedule(1, carry=False)

Key = tuple[str, str, str, str, str, int, int]
"""Who was asked what, where: row, task, arm, moment, case, item, and at a checkpoint the number of edits."""


@dataclass(frozen=True)
class Planned:
    """What a run with this configuration does over these cases."""

    protocol: EvalProtocol
    data: str
    selection: Selection
    cases: tuple[Case, ...]
    asked_cases: tuple[Case, ...]
    effective: Schedule
    arms: Mapping[Row, Mapping[str, ArmLayout]]
    asked: Asked

    def questions(self) -> Iterator[tuple[Key, Document]]:
        """Every answer that a model must have given, with its document."""
        for task, docs in self.asked.documents.items():
            for doc in docs:
                row, _, arm = str(doc["_arm"]).partition("/")
                for moment in doc["_moments"]:
                    edits = int(doc["_edits"]) if moment == "checkpoint" else 0
                    yield (row, task, arm, moment, str(doc["case_id"]), int(doc["item"]), edits), doc


def plan_again(record: RunRecord, config: RunConfig, recorded: Sequence[str], here: Here) -> Planned:
    """The plan; `recorded` are the ids of the cases that were edited, in order.

    They must be those that the configuration chooses; of a protocol that screens cases with the unedited model only
    their order can be checked. Raises RecordError, DataError, UsageError in one line.
    """
    spec, data_spec = here.registry.protocol_and_data(config.task)
    protocol = cast("EvalProtocol", here.registry.resolve(spec.ref)())
    data = here.cases(data_spec.name)
    selection = select_cases(data, protocol, config)
    cases = _cases(selection, recorded, config, screened=bool(protocol.screening()))
    effective = _effective(record, config, here)
    checkpoints = find_checkpoints(config.checkpoints, config.edits, effective, config.seed, protocol.checkpoints)
    arms = _arms(protocol, cases, config, effective, record)
    asked_cases = cases[: config.limit]
    probes = protocol.probes(effective, checkpoints.at)
    asked = plan_documents(probes, data.name, asked_cases, arms, here.forms, checkpoints=checkpoints)
    return Planned(protocol, data.name, selection, cases, asked_cases, effective, arms, asked)


def checkpoints_of(config: RunConfig, planned: Planned) -> Checkpoints:
    """When the carried arms of a plan are asked."""
    default = planned.protocol.checkpoints
    return find_checkpoints(config.checkpoints, config.edits, planned.effective, config.seed, default)


def _cases(selection: Selection, recorded: Sequence[str], config: RunConfig, *, screened: bool) -> tuple[Case, ...]:
    chosen = selection.cases[: config.edits]
    if not screened:
        if [case.id for case in chosen] != list(recorded):
            raise RecordError(_which(recorded, [case.id for case in chosen]))
        return chosen
    by_id = {case.id: place for place, case in enumerate(selection.cases)}
    unknown = [one for one in recorded if one not in by_id]
    if unknown:
        raise RecordError(f"case {unknown[0][:60]!r} is none that this task can edit")
    places = [by_id[one] for one in recorded]
    if len(places) != config.edits or any(a >= b for a, b in pairwise(places)):
        raise RecordError("the cases are not so many, or not in the order, that this configuration gives")
    return tuple(selection.cases[place] for place in places)


def _which(recorded: Sequence[str], chosen: Sequence[str]) -> str:
    lacking = [one for one in chosen if one not in set(recorded)]
    extra = [one for one in recorded if one not in set(chosen)]
    if lacking:
        return f"{len(lacking)} of the cases that this configuration edits are missing: {lacking[0]!r}"
    if extra:
        return f"{len(extra)} cases are none that this configuration edits: {extra[0][:60]!r}"
    return "the cases are not in the order that this configuration gives"


def _effective(record: RunRecord, config: RunConfig, here: Here) -> Schedule:
    """What the method's spec makes of the schedule; of a method that is not here, what the record says."""
    if config.method == CONTEXT:
        return ALONE
    entry = here.registry.methods.get(config.method)
    if entry is None or entry.origin.version != record.method.version:
        said = Schedule.parse(record.schedule.effective)
        size = config.schedule.size
        if said.carry != config.schedule.carry or (size is not None and (said.size is None or said.size > size)):
            raise RecordError(f"schedule.effective is {said}, which no method makes of {config.schedule}")
        return said
    return config.schedule.limited(entry.spec.max_batch)


def _arms(
    protocol: EvalProtocol, cases: Sequence[Case], config: RunConfig, effective: Schedule, record: RunRecord
) -> dict[Row, dict[str, ArmLayout]]:
    rows = {CONTEXT: ALONE}
    if config.method not in (UNTOUCHED, CONTEXT):
        rows[config.method] = effective
    made = protocol.arms(cases)
    arms = {
        row: {arm: layout(f"{row}/{arm}", [edit.id for edit in edits], schedule) for arm, edits in made.items()}
        for row, schedule in rows.items()
    }
    health = record.health
    if health is not None and health.stopped and config.method in arms:
        own = arms[config.method]
        arms[config.method] = {arm: replace(one, stopped=health.collapsed.get(arm)) for arm, one in own.items()}
    return arms


def moment_of(text: str) -> Moment:
    """A moment as the record names it; RecordError for any other word."""
    if text not in ("unedited", "at_edit", "checkpoint", "final"):
        raise RecordError(f"moment {text[:40]!r} is none")
    return cast("Moment", text)
