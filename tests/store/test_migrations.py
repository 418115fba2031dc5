"""Records of earlier versions are read as records of the present one."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from editharness.errors import RecordError
from editharness.store import RunRecord
from editharness.store.migrations import STEPS, migrated
from editharness.store.record import SCHEMA
from editharness.testing.records import example_columns, example_record

ROWS = {"method": example_columns({"PP": 0.9}), "none": example_columns({"PP": 0.1})}
VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(files("editharness.store").joinpath("record.schema.json").read_text())
)


def first_record(negation: Any) -> dict[str, Any]:
    """A record as the first version wrote it: no series, no health, negations counted alone."""
    raw = example_record(rows=ROWS).to_json()
    del raw["health"]
    for row in raw["rows"]:
        del row["series"]
    data = {key: value for key, value in raw["data"].items() if key not in ("selection", "refused")}
    return {**raw, "schema": 1, "data": {**data, "negation": negation}}


def test_there_is_a_step_from_every_version_to_the_next() -> None:
    assert sorted(STEPS) == list(range(1, SCHEMA))


@pytest.mark.parametrize(
    ("negation", "selection", "refused"),
    [
        (
            {"supplied": 3, "table": 2, "rule": 0, "refused": 1},
            {"supplied": 3, "table": 2},
            {"no negation could be made": 1},
        ),
        ({"supplied": 3, "table": 0, "rule": 0, "refused": 0}, {"supplied": 3}, {}),
        (None, {}, {}),
    ],
    ids=["counted", "none refused", "not counted"],
)
def test_the_first_records_are_still_read(negation: Any, selection: dict[str, int], refused: dict[str, int]) -> None:
    raw = first_record(negation)
    before = copy.deepcopy(raw)
    record = RunRecord.from_json(raw)
    assert (record.data.selection, record.data.refused) == (selection, refused)
    assert (record.health, {row.series for row in record.rows}) == (None, {()})
    assert raw == before
    VALIDATOR.validate(migrated(raw))
    assert record.to_json()["schema"] == SCHEMA
    assert RunRecord.from_json(record.to_json()).to_json() == record.to_json()


@pytest.mark.parametrize("change", [{"rows": 3}, {"data": []}, {"rows": [1]}, {"data": {"negation": {"refused": "x"}}}])
def test_what_is_malformed_is_named_by_the_reader(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=r"rows|data"):
        RunRecord.from_json({**first_record(None), **change})


@pytest.mark.parametrize("version", [0, -1, SCHEMA + 1])
def test_an_unknown_version_says_what_to_do(version: int) -> None:
    with pytest.raises(RecordError, match=f"schema: {version} cannot be read here, only 1 to {SCHEMA}"):
        migrated({"schema": version})
