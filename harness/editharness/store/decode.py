"""Parsed JSON -> RunRecord, field by field: what is missing, wrong or unknown is named."""

from __future__ import annotations

import re
from typing import Any, cast

from editharness.stats import ColumnScore, PointScore, SeriesScore
from editharness.store.fields import Fields
from editharness.store.migrations import migrated
from editharness.store.record import (
    Config,
    Cost,
    DataFacts,
    HealthFacts,
    MethodFacts,
    ModelFacts,
    Outcomes,
    Preset,
    ProtocolFacts,
    RowKind,
    RowScores,
    RunRecord,
    ScheduleFacts,
    TrainingFacts,
    check_id,
)
from editharness.types import Skipped

_CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")

_BETTER = ("higher", "lower", "neither")
_NUMBER = (float, type(None))
_COLUMN: dict[str, tuple[type, ...]] = {
    "name": (str,), "title": (str,), "better": (str,), "value": _NUMBER, "low": _NUMBER, "high": _NUMBER, "n": (int,),
}  # fmt: skip


def decode(raw: object) -> RunRecord:
    """A record from parsed JSON; RecordError names the field that is missing, wrong or unknown."""
    f = Fields(migrated(raw), "")
    schema = f.integer("schema")
    record = RunRecord(
        schema=schema,
        id=check_id(f.text("id")),
        created=f.text("created"),
        config=_config(f.object("config")),
        command=f.text("command"),
        method=_method(f.object("method")),
        protocol=_protocol(f.object("protocol")),
        task=f.text("task"),
        data=_data(f.object("data")),
        model=_model(f.object("model")),
        schedule=_schedule(f.object("schedule")),
        statuses=_statuses(f.object("statuses")),
        rows=tuple(_row(row) for row in f.objects("rows")),
        cost=_cost(f.object("cost")),
        versions=f.named_texts("versions"),
        training=None if (training := f.maybe_object("training")) is None else _training(training),
        health=None if (health := f.maybe_object("health")) is None else _health(health),
        partial=f.flag("partial"),
        notes=f.texts("notes"),
        files=f.named_texts("files"),
    )
    f.end()
    if _CREATED.fullmatch(record.created) is None:
        raise f.refuse("created", "must be a UTC time like 2026-01-31T12:00:00Z")
    _refuse_twins(f, "rows", [row.row for row in record.rows])
    return record


def _config(f: Fields) -> Config:
    config = Config(passed=f.free("passed"), resolved=f.free("resolved"))
    f.end()
    return config


def _method(f: Fields) -> MethodFacts:
    preset = f.object("preset")
    method = MethodFacts(
        name=f.text("name"),
        title=f.text("title"),
        paper=f.text("paper"),
        distribution=f.text("distribution"),
        version=f.text("version"),
        sees=f.texts("sees"),
        options=f.free("options"),
        preset=Preset(preset.text("name"), preset.text("source"), preset.flag("tuned"), preset.texts("overridden")),
    )
    preset.end()
    f.end()
    return method


def _protocol(f: Fields) -> ProtocolFacts:
    protocol = ProtocolFacts(f.text("name"), f.integer("version"), f.text("hash"), f.text("ranked_by"))
    f.end()
    return protocol


def _data(f: Fields) -> DataFacts:
    data = DataFacts(
        name=f.text("name"),
        sha256=f.text("sha256"),
        cases=f.count("cases"),
        used=f.count("used"),
        skipped=tuple(_skipped(one) for one in f.objects("skipped")),
        quirks=f.named_counts("quirks"),
        selection=f.named_counts("selection"),
        refused=f.named_counts("refused"),
    )
    f.end()
    return data


def _skipped(f: Fields) -> Skipped:
    skipped = Skipped(record=f.count("record"), field=f.text("field"), reason=f.text("reason"))
    f.end()
    return skipped


def _model(f: Fields) -> ModelFacts:
    model = ModelFacts(
        name=f.text("name"),
        revision=f.maybe_text("revision"),
        architecture=f.text("architecture"),
        parameters=f.count("parameters"),
        dtype=f.text("dtype"),
        device=f.text("device"),
        digest_before=f.text("digest_before"),
        digest_after=f.text("digest_after"),
    )
    f.end()
    return model


def _schedule(f: Fields) -> ScheduleFacts:
    schedule = ScheduleFacts(f.text("asked"), f.text("effective"), f.count("edits"), f.integer("seed"))
    f.end()
    return schedule


def _statuses(f: Fields) -> Outcomes:
    outcomes = Outcomes(f.count("done"), f.count("skipped"), f.count("failed"), f.named_counts("reasons"))
    f.end()
    return outcomes


def _row(f: Fields) -> RowScores:
    kind = cast("RowKind", f.choice("kind", ("method", "control")))
    series = tuple(_series(one) for one in f.objects("series"))
    row = RowScores(f.text("row"), kind, tuple(_column(column) for column in f.objects("columns")), series)
    f.end()
    _refuse_twins(f, "columns", [column.name for column in row.columns])
    _refuse_twins(f, "series", [one.name for one in row.series])
    return row


def _column(f: Fields) -> ColumnScore:
    values = f.exactly(_COLUMN)
    if values is not None and values[2] in _BETTER and 0 <= values[-1] < 2**63:
        column = ColumnScore(*values)
        _refuse_half(f, column)
        return column
    column = ColumnScore(
        name=f.text("name"),
        title=f.text("title"),
        better=cast("Any", f.choice("better", _BETTER)),
        value=f.maybe_number("value"),
        low=f.maybe_number("low"),
        high=f.maybe_number("high"),
        n=f.count("n"),
    )
    f.end()
    _refuse_half(f, column)
    return column


def _series(f: Fields) -> SeriesScore:
    series = SeriesScore(
        name=f.text("name"),
        title=f.text("title"),
        better=cast("Any", f.choice("better", _BETTER)),
        unit=f.text("unit"),
        points=tuple(_point(point) for point in f.objects("points")),
    )
    f.end()
    _refuse_twins(f, "points", [f"{point.edits} edits, cohort {point.cohort}" for point in series.points])
    return series


def _point(f: Fields) -> PointScore:
    point = PointScore(
        edits=f.count("edits"),
        cohort=f.maybe_span("cohort"),
        value=f.maybe_number("value"),
        low=f.maybe_number("low"),
        high=f.maybe_number("high"),
        n=f.count("n"),
    )
    f.end()
    _refuse_half(f, point)
    return point


def _refuse_half(f: Fields, score: ColumnScore | PointScore) -> None:
    """A mean has bounds and cases, or there is none of all this."""
    if len({score.value is None, score.low is None, score.high is None, score.n == 0}) > 1:
        raise f.refuse("value", "value, low and high are all there with n > 0, or all null with n = 0")
    if score.low is not None and score.high is not None and score.low > score.high:
        raise f.refuse("low", f"{score.low} is above high, {score.high}")


def _cost(f: Fields) -> Cost:
    cost = Cost(
        seconds=f.number("seconds"),
        seconds_per_edit=f.maybe_number("seconds_per_edit"),
        seconds_by_phase=f.named_numbers("seconds_by_phase"),
        peak_memory_bytes=f.maybe_count("peak_memory_bytes"),
    )
    f.end()
    return cost


def _training(f: Fields) -> TrainingFacts:
    training = TrainingFacts(f.count("cases"), f.count("left_out"), f.number("seconds"), f.flag("kept"))
    f.end()
    return training


def _health(f: Fields) -> HealthFacts:
    health = HealthFacts(f.count("texts"), f.number("uniform"), f.named_counts("collapsed"), f.flag("stopped"))
    f.end()
    return health


def _refuse_twins(f: Fields, key: str, names: list[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise f.refuse(key, f"{name[:40]!r} stands twice")
