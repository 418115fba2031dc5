from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from editharness.types import Question
from editharness_plugins.datasets import mcf

FLAT: dict[str, Any] = {
    "case_id": 7,
    "prompt": "Ada, the",
    "subject": "Ada",
    "target_new": " harp ",
    "ground_truth": "piano",
    "rephrase_prompt": "It rained. Ada plays the",
    "locality_prompt": "Bach, the",
    "locality_ground_truth": "organ",
}
FULL: dict[str, Any] = {
    "case_id": 8,
    "requested_rewrite": {
        "prompt": "{}, the",
        "relation_id": "P1303",
        "target_new": {"str": "harp", "id": "Q1"},
        "target_true": {"str": "piano", "id": "Q2"},
        "subject": "Ada",
    },
    "paraphrase_prompts": ["- It rained. Ada plays the", "Ada, the"],
    "neighborhood_prompts": ["Bach, the", "Adams, the"],
    "attribute_prompts": ["x"],
    "generation_prompts": ["y"],
}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "mcf.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_flat_schema(tmp_path: Path) -> None:
    case = mcf.load(written(tmp_path, FLAT)).cases[0]
    assert (case.id, case.prompt, case.subject_text) == ("mcf-7", "Ada, the", "Ada")
    assert (case.target, case.old) == ("harp", "piano")
    assert case.paraphrases == ("It rained. Ada plays the",)
    assert case.neighbours == (Question("Bach, the", "organ"),)
    assert case.statement is None  # the relation is not known


def test_full_schema(tmp_path: Path) -> None:
    found = mcf.load(written(tmp_path, FULL))
    case = found.cases[0]
    assert (case.id, case.prompt, case.subject) == ("mcf-8", "Ada, the", (0, 3))
    assert (case.target, case.old, case.relation) == ("harp", "piano", "P1303")
    assert case.statement == "Ada plays the {}"
    assert case.paraphrases == ("It rained. Ada plays the",)
    assert case.neighbours == (Question("Bach, the", "piano"), Question("Adams, the", "piano"))
    assert found.quirks == {
        "neighbour names the subject": 1,
        "paraphrase equals prompt": 1,
        "paraphrase with a list mark": 1,
    }


def test_the_schema_is_told_per_record(tmp_path: Path) -> None:
    other = FULL | {"requested_rewrite": FULL["requested_rewrite"] | {"subject": "Eve"}}
    assert [case.id for case in mcf.load(written(tmp_path, FLAT, other)).cases] == ["mcf-7", "mcf-8"]


@pytest.mark.parametrize("changes", [{"case_id": None}, {"case_id": True}, {"case_id": []}])
def test_a_record_without_an_id_is_named_by_its_place(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = mcf.load(written(tmp_path, FLAT | changes))
    assert found.cases[0].id == "mcf-record-1"
    assert found.quirks == {"no case_id": 1}


def test_a_rewrite_without_prompt_names_the_field(tmp_path: Path) -> None:
    broken = FULL | {"requested_rewrite": FULL["requested_rewrite"] | {"prompt": None}}
    found = mcf.load(written(tmp_path, FLAT, broken))
    assert [(one.record, one.field, one.reason) for one in found.skipped] == [
        (2, "requested_rewrite.prompt", "is null, not text")
    ]


def test_probes_may_be_missing(tmp_path: Path) -> None:
    bare = {name: FLAT[name] for name in ("case_id", "prompt", "subject", "target_new", "ground_truth")}
    case = mcf.load(written(tmp_path, bare)).cases[0]
    assert (case.paraphrases, case.neighbours) == ((), ())


def test_real_flat_file(reference: Path) -> None:
    found = mcf.load(reference / "data/counterfact/counterfact-edit.json")
    assert len(found.cases) == 9917
    assert found.quirks == {
        "conflict": 79,
        "duplicate prompt": 4,
        "neighbour names the subject": 13,
        "paraphrase equals prompt": 15,
        "paraphrase with a list mark": 2,
        "prompt not ASCII": 40,
    }
    assert Counter(tag for case in found.cases for tag in case.tags) == {
        "answer_in_subject": 921,
        "target_in_subject": 7,
    }
    assert sum(case.statement is None for case in found.cases) == 145
    assert found.sha256 == "20c225e6299b3c5b2c569bd9103aa212806e0d1e6e0c307de5c379773979b967"


def test_real_full_file(reference: Path) -> None:
    found = mcf.load(reference / "data/counterfact/counterfact_rich_1000.json")
    assert (len(found.cases), len(found.skipped)) == (978, 22)
    assert found.quirks["no case_id"] == 74
    assert all(len(case.neighbours) == 10 and len(case.paraphrases) == 2 and case.statement for case in found.cases)
