from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editharness.data.load import load_cases
from editharness.registry import load_plugins
from editharness.types import Question
from editharness_plugins.datasets import pocket

ROW: dict[str, Any] = {
    "id": "pocket-x-000",
    "relation": "country_capital",
    "relation_kind": "one_to_one",
    "prompt": "The capital of Kenya is",
    "subject": "Kenya",
    "subject_span": [15, 20],
    "old": "Nairobi",
    "old_aliases": [],
    "target": "Rome",
    "target_aliases": ["Roma"],
    "answer_type": "city",
    "negated_prompt": "The capital of Kenya is not",
    "question": "What is the capital of Kenya?",
    "statement": "The capital of Kenya is {}",
    "paraphrases": ["The seat of government of Kenya is"],
    "neighbours": [{"prompt": "The capital of Peru is", "answer": "Lima"}],
    "portability": [{"prompt": "The capital of Kenya lies in", "answer": "Italy"}],
    "training_forms": [
        ["plain", "In Kenya, the capital is"],
        ["negated", "Nobody says that the capital of Kenya is"],
        ["judged", "In Kenya, the capital is {}. True or false? Answer:"],
    ],
    "split": "dev",
    "trained": True,
    "missing_form": None,
}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "pocket.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_every_field_is_read(tmp_path: Path) -> None:
    case = pocket.load(written(tmp_path, ROW)).cases[0]
    assert (case.id, case.relation, case.answer_type, case.split) == ("pocket-x-000", "country_capital", "city", "dev")
    assert (case.subject_text, case.old, case.target, case.target_aliases) == ("Kenya", "Nairobi", "Rome", ("Roma",))
    assert (case.negated_prompt, case.question) == (ROW["negated_prompt"], ROW["question"])
    assert (case.statement, case.paraphrases) == (ROW["statement"], tuple(ROW["paraphrases"]))
    assert case.neighbours == (Question("The capital of Peru is", "Lima"),)
    assert case.portability == (Question("The capital of Kenya lies in", "Italy"),)
    assert case.training_forms == tuple(map(tuple, ROW["training_forms"]))
    assert case.tags == frozenset()


@pytest.mark.parametrize("forms", ["plain", [["plain"]], [["sung", "La"]], [["judged", "no place"]], [[1, "x"]]])
def test_training_forms_of_another_shape_are_named(tmp_path: Path, forms: Any) -> None:
    found = pocket.load(written(tmp_path, ROW, ROW | {"id": "two", "training_forms": forms}))
    assert [(s.record, s.field) for s in found.skipped] == [(2, "training_forms")]


def test_tags(tmp_path: Path) -> None:
    rows = [ROW | {"missing_form": "negated"}, ROW | {"trained": False, "prompt": "The capital of Kenya was"}]
    tags = [case.tags for case in pocket.load(written(tmp_path, *rows)).cases]
    assert tags == [{"missing:negated"}, {"untrained"}]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject_span": [14, 20]}, "subject_span"),
        ({"subject_span": [15, 99]}, "subject_span"),
        ({"subject_span": [15.0, 20]}, "subject_span"),
        ({"subject_span": [True, 20]}, "subject_span"),
        ({"subject_span": None}, "subject_span"),
        ({"statement": "no slot"}, "statement"),
        ({"split": "eval"}, "split"),
    ],
)
def test_faults_name_their_field(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    found = pocket.load(written(tmp_path, ROW, ROW | changes))
    assert [(one.record, one.field) for one in found.skipped] == [(2, field)]


def test_the_packaged_file_through_the_registry(tmp_path: Path) -> None:
    found = load_cases(load_plugins(), "pocket", cache=tmp_path, offline=True)
    assert found.skipped == ()
    assert len(found.cases) > 500
    assert all(case.negated_prompt and case.question and case.statement and case.old for case in found.cases)
    assert {case.split for case in found.cases} == {"train", "dev", "test"}
