"""The portability protocol: a real run on pocket, and cases that cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.protocol import Answers
from editharness.types import Case, Question
from editharness_plugins.protocols.portability import Portability

PROTOCOL = Portability()


def test_cases_from_which_nothing_follows_are_left_out_and_counted() -> None:
    far = Case("a", "X is in", (0, 1), "Peru", portability=(Question("The capital of the country of X is", "Lima"),))
    chosen = PROTOCOL.select([far, Case("b", "Y is in", (0, 1), "Chad")])
    assert [case.id for case in chosen.cases] == ["a"]
    assert chosen.refused == {"no question follows from the fact": 1}


def test_every_column_is_defined() -> None:
    names = {column.name for column in PROTOCOL.summarise("m", Answers({}, []))}
    assert names == set(Portability.glossary)


@pytest.mark.slow
def test_on_pocket_every_control_stands_where_theory_puts_it(tmp_path: Path) -> None:
    words = ["eval", "--method", "memit,ike", "--task", "portability_pocket", "--edits", "20", "--schedule", "batch:10"]
    assert main([*words, "--checkpoints", "10", "--output", str(tmp_path)]) == 0
    found = {}
    for path in tmp_path.glob("*/record.json"):
        record = json.loads(path.read_text())
        found[record["method"]["name"]] = {row["row"]: row for row in record["rows"]}
    rows = found["memit"]
    value = {row: {c["name"]: c["value"] for c in rows[row]["columns"]} for row in rows}
    assert (value["none"]["efficacy"], value["none"]["unchanged"], value["none"]["moved"]) == (0.0, 1.0, 0.0)
    assert value["context"]["portability"] > value["none"]["portability"]
    assert value["context"]["unchanged"] == 1.0  # nothing is told about the neighbours
    assert value["echo"]["portability"] == value["constant"]["portability"] == 0.0
    assert value["memit"]["moved"] > 0.0
    (kl,) = rows["memit"]["series"][:1]
    assert [point["edits"] for point in kl["points"]] == [10, 20]
    assert all(point["value"] > 0 for point in kl["points"])
    told = {c["name"]: c["value"] for c in found["ike"]["ike"]["columns"]}
    assert told["moved"] > 0.0  # a router: its prompts differ from the unedited model's, and are compared all the same
