"""A record agrees with itself: what was typed, what is said of the run, and the counts are one story."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from editharness.config import RunConfig
from editharness.store import RunRecord, run_id
from editharness.store.samples import EditLine
from editharness.verifying.findings import Finding
from editharness.verifying.folder import FILES, SHA256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DEVICE = re.compile(r'cpu|mps|cuda(:[0-9]{1,2})?|auto|\{"[\w.": ,-]{1,100000}\}')
_DTYPES = ("float32", "bfloat16", "float16")
_MOST_PARAMETERS, _MOST_BYTES = 10**14, 2**50


def check_facts(path: Path, record: RunRecord, config: RunConfig) -> Iterator[Finding]:
    """What a record says twice it says alike; hashes, names, times and counts are possible ones."""
    checks = (_said_twice, _identity, _hashes, _model, _time, _cost, _names)
    for check in checks:
        for place, problem in check(record, config):
            yield Finding("error", path, place, problem)


def check_outcomes(path: Path, record: RunRecord, edits: Sequence[EditLine]) -> Iterator[Finding]:
    """The counts of done, skipped and failed edits are those of edits.jsonl, failures not left out."""
    count = Counter(edit.outcome for edit in edits)
    said = record.statuses
    for outcome, number in (("done", said.done), ("skipped", said.skipped), ("failed", said.failed)):
        if count[outcome] != number:
            problem = f"the record says {number}, edits.jsonl has {count[outcome]}"
            yield Finding("error", path, f"statuses.{outcome}", problem)
    reasons = Counter(edit.reason for edit in edits if edit.reason)
    if dict(reasons) != dict(said.reasons):
        yield Finding("error", path, "statuses.reasons", "are not the reasons in edits.jsonl")


Problems = Iterator[tuple[str, str]]


def _said_twice(record: RunRecord, config: RunConfig) -> Problems:
    partial = config.limit is not None and config.limit < config.edits
    twice = (
        ("method.name", record.method.name, config.method),
        ("task", record.task, config.task),
        ("task", record.task, f"{record.protocol.name}_{record.data.name}"),
        ("model.dtype", record.model.dtype, config.dtype),
        ("model.device", record.model.device, config.device),
        ("schedule.asked", record.schedule.asked, str(config.schedule)),
        ("schedule.seed", record.schedule.seed, config.seed),
        ("schedule.edits", record.schedule.edits, config.edits),
        ("data.used", record.data.used, config.edits),
        ("partial", record.partial, partial),
        ("method.preset.overridden", sorted(record.method.preset.overridden), sorted(config.settings)),
        ("command", record.command, config.command()),
    )
    for place, said, other in twice:
        if said != other:
            yield place, f"is {_short(said)}, and by the rest of the record {_short(other)}"
    for key, value in record.config.passed.items():
        if key in ("method", "task", "model", "seed", "dtype", "device") and not _given(value, getattr(config, key)):
            yield f"config.passed.{key}", f"is {_short(value)}, and config.resolved says {getattr(config, key)!r}"


def _given(typed: object, used: object) -> bool:
    """Whether what was typed (maybe several, with commas, or a path) covers what was used."""
    words = typed.split(",") if isinstance(typed, str) else [typed]
    return typed == "all" or used in words or any(isinstance(w, str) and Path(w).name == used for w in words)


def _identity(record: RunRecord, config: RunConfig) -> Problems:
    made = run_id(config.method, record.config.resolved)
    if re.fullmatch(rf"{re.escape(made)}(-[0-9]{{1,4}})?", record.id) is None:
        yield "id", f"this configuration makes the id {made}, not {record.id}: the configuration was changed"


def _hashes(record: RunRecord, config: RunConfig) -> Problems:
    places = {
        "protocol.hash": record.protocol.hash,
        "data.sha256": record.data.sha256,
        "model.digest_before": record.model.digest_before,
        "model.digest_after": record.model.digest_after,
        **{f"files.{name}": said for name, said in record.files.items() if name in FILES},
    }
    for place, said in places.items():
        if SHA256.fullmatch(said) is None:
            yield place, "is no sha256: 64 hexadecimal digits"


def _model(record: RunRecord, config: RunConfig) -> Problems:
    model = record.model
    if model.digest_after != model.digest_before:
        yield "model.digest_after", "the model was not left as it was found: its weights before and after differ"
    if not 0 < model.parameters < _MOST_PARAMETERS:
        yield "model.parameters", f"{model.parameters} is no possible number"
    if model.dtype not in _DTYPES:
        yield "model.dtype", f"must be one of {', '.join(_DTYPES)}"
    if _DEVICE.fullmatch(model.device) is None:
        yield "model.device", "must be cpu, mps, cuda, cuda:N, auto or a map of modules to devices"
    if Path(config.model).name != Path(model.name).name:
        yield "model.name", f"is {_short(model.name)}, and config.resolved.model {_short(config.model)}"


def _time(record: RunRecord, config: RunConfig) -> Problems:
    try:
        created = datetime.fromisoformat(record.created.replace("Z", "+00:00"))
    except ValueError:
        yield "created", "is no possible time"
        return
    if created > datetime.now(UTC) + timedelta(days=1):
        yield "created", f"{record.created} lies in the future"


def _cost(record: RunRecord, config: RunConfig) -> Problems:
    cost, phases = record.cost, record.cost.seconds_by_phase
    statuses = record.statuses.done + record.statuses.skipped + record.statuses.failed
    times = {"seconds": cost.seconds, "seconds_per_edit": cost.seconds_per_edit or 0.0}
    times |= {f"seconds_by_phase.{name}": value for name, value in phases.items()}
    for place, value in times.items():
        if value < 0:
            yield f"cost.{place}", f"{value:g} seconds: time does not run backwards"
    if phases and not math.isclose(sum(phases.values()), cost.seconds, rel_tol=1e-6, abs_tol=1e-6):
        yield "cost.seconds", f"is {cost.seconds:g}, and the phases together take {sum(phases.values()):g}"
    if (cost.seconds_per_edit or 0) * statuses > cost.seconds + 1e-6:
        yield "cost.seconds_per_edit", f"{statuses} edits would have taken longer than the whole run"
    if cost.peak_memory_bytes is not None and not 0 < cost.peak_memory_bytes < _MOST_BYTES:
        yield "cost.peak_memory_bytes", f"{cost.peak_memory_bytes} bytes is no possible number"


def _names(record: RunRecord, config: RunConfig) -> Problems:
    names = {
        "method.name": record.method.name,
        "method.distribution": record.method.distribution,
        "protocol.name": record.protocol.name,
        "data.name": record.data.name,
    }
    for place, name in names.items():
        if _NAME.fullmatch(name) is None:
            yield place, f"{name[:40]!r} is no name: use letters, digits, '.', '_' and '-'"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
