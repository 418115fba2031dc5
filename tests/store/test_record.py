from __future__ import annotations

import copy
import json
import math
from dataclasses import fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.errors import RecordError
from editharness.stats import ColumnScore, PointScore
from editharness.store import Config, HealthFacts, Outcomes, RowScores, RunRecord, run_id
from editharness.store.portable import without_paths
from editharness.testing.records import example_columns, example_record

ROWS = {"method": example_columns({"PP": 0.9, "PN": 0.5}), "none": example_columns({"PP": 0.1})}
SCHEMA = json.loads(files("editharness.store").joinpath("record.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


WHOLE = example_record(rows=ROWS)


def raw_record() -> dict[str, Any]:
    return WHOLE.to_json()


def test_a_record_survives_json() -> None:
    record = example_record(rows=ROWS, notes=("a note",))
    again = RunRecord.from_json(json.loads(json.dumps(record.to_json())))
    assert again.to_json() == record.to_json()
    assert (again.rows, again.schedule, again.method.preset) == (record.rows, record.schedule, record.method.preset)
    assert again.row("none") == record.rows[1]
    assert again.row("echo") is None


@given(st.dictionaries(TEXT, JSON, max_size=4), TEXT, st.integers(0, 10**9), st.dictionaries(TEXT, TEXT, max_size=3))
@settings(deadline=None, max_examples=50)
def test_any_content_survives_json_and_fits_the_schema(
    options: dict[str, Any], name: str, count: int, versions: dict[str, str]
) -> None:
    record = replace(
        WHOLE,
        task=name,
        config=Config(options, {"nested": options}),
        statuses=Outcomes(count, 0, 1, {name: count}),
        versions=versions,
    )
    raw = record.to_json()
    VALIDATOR.validate(raw)
    assert RunRecord.from_json(json.loads(json.dumps(raw))).to_json() == raw


def test_the_schema_names_the_fields_of_a_record() -> None:
    assert set(SCHEMA["properties"]) == {f.name for f in fields(RunRecord)}
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def places(raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every field, but for those inside the free objects."""
    found = []
    for key in raw if isinstance(raw, dict) else range(len(raw)) if isinstance(raw, list) else ():
        here = (*path, key)
        found.append(here)
        if here[-1] not in (
            "passed",
            "resolved",
            "options",
            "versions",
            "seconds_by_phase",
            "files",
            "selection",
            "refused",
        ):
            found += places(raw[key], here)
    return found


PLACES = places(raw_record())


def with_series(**changes: Any) -> dict[str, Any]:
    point = {"edits": 20, "cohort": [1, 10], "value": 0.5, "low": 0.25, "high": 0.75, "n": 10, **changes}
    raw = raw_record()
    raw["rows"][0]["series"] = [{"name": "retention", "title": "t", "better": "higher", "unit": "%", "points": [point]}]
    raw["health"] = {"texts": 16, "uniform": 8.3, "collapsed": {"edits": 300}, "stopped": True}
    return raw


def test_series_and_health_survive_json_and_fit_the_schema() -> None:
    VALIDATOR.validate(with_series())
    record = RunRecord.from_json(with_series())
    assert record.rows[0].series[0].points == (PointScore(20, (1, 10), 0.5, 0.25, 0.75, 10),)
    assert record.health == HealthFacts(16, 8.3, {"edits": 300}, stopped=True)
    assert record.to_json() == with_series()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cohort": [10, 1]}, "cohort: must be two integers from 1, in order, or null"),
        ({"cohort": [1]}, "two integers"),
        ({"cohort": [True, 2]}, "two integers"),
        ({"low": 0.6}, "low: 0.6 is above high"),
        ({"value": None}, "value: value, low and high are all there"),
        ({"edits": -1}, "edits: must be 0 or more"),
        ({"more": 1}, "more: is not a field"),
    ],
    ids=str,
)
def test_a_point_that_is_none_is_named(changes: dict[str, Any], said: str) -> None:
    raw = with_series(**changes) if "low" not in changes else with_series(low=0.6, high=0.5)
    problem = complaint(raw)
    assert problem is not None
    assert problem.startswith("rows[0].series[0].points[0]")
    assert said in problem


def complaint(raw: object) -> str | None:
    try:
        RunRecord.from_json(raw)
    except RecordError as error:
        return str(error)
    return None


@given(st.sampled_from(PLACES), JSON)
@settings(deadline=None, max_examples=50)
def test_what_the_reader_takes_the_schema_takes(place: tuple[Any, ...], value: Any) -> None:
    """A changed field is either refused in one line that names it, or the schema allows it."""
    raw = copy.deepcopy(raw_record())
    inner: Any = raw
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    problem = complaint(raw)
    if problem is None:
        VALIDATOR.validate(raw)
    else:
        assert "\n" not in problem


@pytest.mark.parametrize("place", [place for place in PLACES if isinstance(place[-1], str)], ids=str)
def test_a_missing_field_is_named(place: tuple[Any, ...]) -> None:
    raw = raw_record()
    inner: Any = raw
    for key in place[:-1]:
        inner = inner[key]
    del inner[place[-1]]
    with pytest.raises(RecordError, match=rf"{place[-1]}: missing$"):
        RunRecord.from_json(raw)


def test_a_field_that_the_schema_does_not_have_is_named() -> None:
    raw = raw_record()
    raw["cost"]["watts"] = 3
    with pytest.raises(RecordError, match=r"^cost\.watts: is not a field"):
        RunRecord.from_json(raw)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 3}, "install the editharness that wrote it"),
        ({"schema": True}, "schema: must be an integer"),
        ({"id": "../x"}, "run id '../x'"),
        ({"created": "yesterday"}, "created: must be a UTC time"),
        ({"rows": [1]}, r"rows\[0\]: must be an object"),
        ({"notes": [1]}, "notes: must hold text only"),
        ({"partial": 1}, "partial: must be true or false"),
    ],
)
def test_wrong_values_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        RunRecord.from_json({**raw_record(), **change})


@pytest.mark.parametrize("raw", [None, [], 3, "x"])
def test_only_an_object_is_a_record(raw: object) -> None:
    with pytest.raises(RecordError, match="record: must be an object"):
        RunRecord.from_json(raw)


@pytest.mark.parametrize(
    "column",
    [
        ColumnScore("PP", "", "higher", None, None, None, 3),
        ColumnScore("PP", "", "higher", 0.5, 0.4, 0.6, 0),
        ColumnScore("PP", "", "higher", 0.5, None, 0.6, 3),
        ColumnScore("PP", "", "higher", 0.5, 0.7, 0.6, 3),
        ColumnScore("PP", "", "higher", math.nan, 0.4, 0.6, 3),
        ColumnScore("PP", "", "higher", 0.5, -math.inf, 0.6, 3),
    ],
)
def test_cells_that_cannot_be_are_not_written(column: ColumnScore) -> None:
    record = example_record(rows=ROWS)
    with pytest.raises(RecordError, match=r"rows\[0\]\.columns\[0\]"):
        replace(record, rows=(RowScores("method", "method", (column,)),)).to_json()


def test_rows_and_columns_stand_once() -> None:
    record = example_record(rows=ROWS)
    with pytest.raises(RecordError, match="rows: 'none' stands twice"):
        replace(record, rows=(*record.rows, record.rows[1])).to_json()
    row = record.rows[0]
    with pytest.raises(RecordError, match="columns: 'PP' stands twice"):
        replace(record, rows=(replace(row, columns=(*row.columns, row.columns[0])),)).to_json()


def test_no_absolute_path_and_no_home_gets_into_a_record() -> None:
    home = str(Path.home())
    record = example_record(
        rows=ROWS,
        command=f"editharness eval --model {home}/models/my-model --data mcf=/srv/data/mcf.json --output runs/x",
        config=Config({"output": Path("/tmp/deep/er/runs")}, {home + "/x/y": [home, "C:\\Users\\me\\model"]}),
        notes=("see https://example.org/a/b and org/name and and/or 1/2",),
    )
    raw = record.to_json()
    text = json.dumps(raw)
    assert home not in text
    assert "/srv" not in text
    assert "Users" not in text
    assert "--model .../my-model --data mcf=.../mcf.json --output runs/x" in raw["command"]
    assert raw["config"]["passed"]["output"] == ".../runs"
    assert raw["notes"] == ["see https://example.org/a/b and org/name and and/or 1/2"]


@given(st.text())
@settings(deadline=None, max_examples=50)
def test_paths_are_taken_out_once(text: str) -> None:
    once = without_paths(text)
    assert without_paths(once) == once
    once.encode()


def test_numbers_of_numpy_are_numbers() -> None:
    options = {"a": np.float32(0.5), "b": np.int64(3), "c": (1, 2), "d": frozenset({"y", "x"})}
    raw = example_record(rows=ROWS, config=Config(options, {})).to_json()
    assert raw["config"]["passed"] == {"a": 0.5, "b": 3, "c": [1, 2], "d": ["x", "y"]}
    assert [type(v) for v in raw["config"]["passed"].values()] == [float, int, list, list]


@pytest.mark.parametrize("value", [object(), b"bytes", math.inf, np.float64("nan"), 1j])
def test_what_json_cannot_hold_is_named(value: object) -> None:
    with pytest.raises(RecordError, match=r"^config\.passed\.x\[0\]: "):
        example_record(rows=ROWS, config=Config({"x": [value]}, {})).to_json()


def test_a_run_id_is_a_safe_folder_name_that_depends_on_everything() -> None:
    first = run_id("my method/../x", {"a": 1, "b": 2})
    assert first == run_id("my method/../x", {"b": 2, "a": 1})
    assert first != run_id("my method/../x", {"b": 2, "a": 2})
    assert "/" not in first
    assert first[0] not in ".-"
