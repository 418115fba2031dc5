"""From a run's outcome to its record on disk."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from editharness.registry import Registry
from editharness.resume.folder import Unfinished
from editharness.runner import Outcome
from editharness.stats import summarise_column, summarise_series
from editharness.store import record as r
from editharness.store.portable import without_paths
from editharness.store.write import RunFolder, score_lines, series_lines
from editharness.types import Status

PACKAGES = ("editharness", "torch", "transformers", "tokenizers", "lm_eval", "datasets", "numpy", "pluggy")


def write_run(outcome: Outcome, registry: Registry, part: Unfinished) -> Path:
    """Write the run's record and move it to its place under the configured output; the path of record.json."""
    folder = RunFolder(part.path, part.record_id())
    record = make_record(outcome, registry, folder.id)
    return part.publish(folder.write(record, samples=_samples(outcome), edits=_edits(outcome), scores=_scores(outcome)))


def make_record(outcome: Outcome, registry: Registry, run_id: str) -> r.RunRecord:
    """Everything another person needs to recompute or to doubt the numbers."""
    config, statuses = outcome.config, [s for arm in outcome.arms.values() for s in arm.statuses]
    seconds = sum(arm.seconds for arm in outcome.arms.values())
    return r.RunRecord(
        id=run_id,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        config=r.Config(config.passed, config.resolved()),
        command=config.command(),
        method=_method(outcome, registry),
        protocol=r.ProtocolFacts(
            outcome.protocol.name, outcome.protocol.version, outcome.protocol_hash, outcome.ranked_by
        ),
        task=config.task,
        data=_data(outcome),
        model=_model(outcome),
        schedule=r.ScheduleFacts(str(config.schedule), str(outcome.effective), len(outcome.cases), config.seed),
        statuses=_outcomes(statuses),
        rows=_rows(outcome),
        cost=r.Cost(
            seconds=sum(outcome.seconds.values()),
            seconds_per_edit=seconds / len(statuses) if statuses else None,
            seconds_by_phase=outcome.seconds,
            peak_memory_bytes=outcome.peak_memory_bytes,
        ),
        versions=versions(),
        training=_training(outcome),
        health=_health(outcome),
        notes=_notes(outcome),
        partial=config.limit is not None and config.limit < len(outcome.cases),
    )


def _method(outcome: Outcome, registry: Registry) -> r.MethodFacts:
    spec, resolved = outcome.method, outcome.resolved
    origin = registry.methods[spec.name].origin
    return r.MethodFacts(
        name=spec.name,
        title=spec.title,
        paper=spec.paper,
        distribution=origin.distribution,
        version=origin.version,
        sees=tuple(sorted(spec.sees)),
        options=resolved.values,
        preset=r.Preset(resolved.preset_name, resolved.source, resolved.tuned, resolved.overridden),
    )


def _data(outcome: Outcome) -> r.DataFacts:
    facts, refused = outcome.selection.facts, outcome.selection.refused
    return r.DataFacts(
        name=outcome.data.name,
        sha256=outcome.data.sha256,
        cases=len(outcome.data.cases),
        used=len(outcome.cases),
        skipped=outcome.data.skipped,
        quirks=outcome.data.quirks,
        selection=facts,
        refused=refused,
    )


def _model(outcome: Outcome) -> r.ModelFacts:
    model = outcome.model
    return r.ModelFacts(
        name=model.name,
        revision=model.revision,
        architecture=model.architecture,
        parameters=model.parameters,
        dtype=outcome.config.dtype,
        device=outcome.config.device,
        digest_before=model.digest,
        digest_after=outcome.digest_after,
    )


def _training(outcome: Outcome) -> r.TrainingFacts | None:
    if not outcome.method.trains:
        return None
    made = outcome.prepared
    return r.TrainingFacts(len(outcome.train.cases), outcome.train.left_out, made.seconds, made.kept)


def _health(outcome: Outcome) -> r.HealthFacts | None:
    gauge = outcome.gauge
    if gauge is None:
        return None
    collapsed = {name: arm.collapsed for name, arm in outcome.arms.items() if arm.collapsed is not None}
    stopped = any(arm.layout.stopped is not None for arm in outcome.arms.values())
    return r.HealthFacts(len(gauge.ids), gauge.uniform, collapsed, stopped)


def _notes(outcome: Outcome) -> tuple[str, ...]:
    if outcome.chat_template is None:
        return outcome.imported
    identity = hashlib.sha256(outcome.chat_template.encode()).hexdigest()
    return (f"questions put through the model's own chat template (sha256 {identity[:16]})", *outcome.imported)


def _outcomes(statuses: list[Status]) -> r.Outcomes:
    count = Counter(status.outcome for status in statuses)
    reasons = Counter(status.reason for status in statuses if status.reason)
    return r.Outcomes(count["done"], count["skipped"], count["failed"], reasons)


def _rows(outcome: Outcome) -> tuple[r.RowScores, ...]:
    subjects = _subjects(outcome)
    return tuple(
        r.RowScores(
            row=row,
            kind="control" if row in outcome.controls else "method",
            columns=tuple(summarise_column(column, subjects) for column in columns),
            series=tuple(summarise_series(series, subjects) for series in outcome.series.get(row, ())),
        )
        for row, columns in outcome.columns.items()
    )


def _scores(outcome: Outcome) -> Iterator[Mapping[str, Any]]:
    """Everything that the record's numbers are computed from, by case."""
    columns = {row: {c.name: (c.values, c.proportion) for c in made} for row, made in outcome.columns.items()}
    yield from score_lines(columns, _subjects(outcome))
    yield from series_lines(outcome.series)


def _subjects(outcome: Outcome) -> dict[str, str]:
    return {case.id: case.subject_text for case in outcome.cases}


def _samples(outcome: Outcome) -> Iterator[Mapping[str, Any]]:
    """Every answer that a model gave, once: the unedited ones stand in several rows."""
    seen: set[int] = set()
    for row, answers in outcome.answers.items():
        for a in answers:
            if id(a) in seen:
                continue
            seen.add(id(a))
            yield {
                "row": "" if a.moment == "unedited" else row,
                "task": a.task.format(data=outcome.data.name),
                "arm": a.arm,
                "moment": a.moment,
                "case": a.case,
                "item": a.item,
                **({"edits": a.edits} if a.moment == "checkpoint" else {}),
                **({"kind": a.kind} if a.kind else {}),
                **({"forced": a.forced} if a.forced else {}),
                "scores": dict(a.scores),
                "text": a.text,
            }


def _edits(outcome: Outcome) -> Iterator[Mapping[str, Any]]:
    for arm, written in outcome.arms.items():
        for status in written.statuses:
            yield {
                "arm": arm,
                "case": status.edit_id,
                "step": written.layout.step_of[status.edit_id],
                "outcome": status.outcome,
                "reason": without_paths(status.reason),
                "facts": dict(status.facts),
            }


def versions() -> dict[str, str]:
    """Python and the packages that numbers depend on, as they are installed here."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
