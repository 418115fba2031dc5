from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from editharness.types import Question
from editharness_plugins.datasets import mquake

FLAT: dict[str, Any] = {
    "subject": "Ada",
    "relation_id": "P27",
    "prompt": "{} is a citizen of",
    "question": "What is the country of citizenship of Ada?",
    "target_new": "Peru",
    "target_new_alias": ["PE", ""],
    "target_true": "Italy",
}


def rewrite(subject: str, target: str) -> dict[str, Any]:
    return {
        "prompt": "{} is a citizen of",
        "relation_id": "P27",
        "target_new": {"str": target, "id": "Q1"},
        "target_true": {"str": "Italy", "id": "Q2"},
        "subject": subject,
        "question": f"What is the country of citizenship of {subject}?",
    }


def published(case_id: int, *rewrites: dict[str, Any]) -> dict[str, Any]:
    return {
        "case_id": case_id,
        "requested_rewrite": list(rewrites),
        "questions": ["What is the capital of Ada's country?", "Which town governs Ada's country?"],
        "new_answer": "Lima",
        "new_answer_alias": ["City of Kings"],
        "single_hops": [{"cloze": "Ada is a citizen of", "answer": "Italy", "answer_alias": ["IT"]}],
        "new_single_hops": [{"cloze": "Ada is a citizen of", "answer": "Peru", "answer_alias": ["PE"]}],
    }


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "mquake.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_flat_schema(tmp_path: Path) -> None:
    case = mquake.load(written(tmp_path, FLAT)).cases[0]
    assert (case.id, case.prompt, case.subject) == ("mquake-1", "Ada is a citizen of", (0, 3))
    assert (case.target, case.target_aliases, case.old) == ("Peru", ("PE",), "Italy")
    assert (case.relation, case.question) == ("P27", FLAT["question"])
    assert case.statement == "Ada is a citizen of {}"


def test_published_schema_with_one_edit_has_its_multi_hop_questions(tmp_path: Path) -> None:
    case = mquake.load(written(tmp_path, published(5, rewrite("Ada", "Peru")))).cases[0]
    assert (case.id, case.target, case.target_aliases) == ("mquake-5-1", "Peru", ("PE",))
    assert (case.old, case.old_aliases) == ("Italy", ("IT",))
    assert case.portability[0] == Question("What is the capital of Ada's country?", "Lima", ("City of Kings",))
    assert len(case.portability) == 2


def test_several_edits_have_no_multi_hop_questions_and_stand_once(tmp_path: Path) -> None:
    rows = [
        published(1, rewrite("Ada", "Peru"), rewrite("Eve", "Chad")),
        published(2, rewrite("Ada", "Peru"), rewrite("Eve", "Mali"), rewrite("Bob", "Fiji")),
    ]
    found = mquake.load(written(tmp_path, *rows))
    assert [(case.id, case.target) for case in found.cases] == [
        ("mquake-1-1", "Peru"),
        ("mquake-1-2", "Chad"),
        ("mquake-2-3", "Fiji"),
    ]
    assert found.quirks == {"conflict": 1, "repeated edit": 1}
    assert all(case.portability == () for case in found.cases)


def test_a_case_without_edits_is_skipped(tmp_path: Path) -> None:
    found = mquake.load(written(tmp_path, FLAT, published(3)))
    assert [(one.record, one.field, one.reason) for one in found.skipped] == [(2, "requested_rewrite", "is empty")]


def test_every_load_starts_afresh(tmp_path: Path) -> None:
    path = written(tmp_path, FLAT)
    assert mquake.load(path) == mquake.load(path)


def test_real_flat_file(reference: Path) -> None:
    found = mquake.load(reference / "data/mquake/mquake_edits_rebuilt_with_true.json")
    assert (len(found.cases), found.skipped, found.quirks) == (2785, (), {})


def test_real_published_file(reference: Path) -> None:
    found = mquake.load(reference / "data/mquake/MQuAKE-hard.json")
    assert (len(found.cases), found.skipped) == (767, ())
    assert found.quirks == {"conflict": 2, "repeated edit": 947}
    assert sum(map(len, (found.cases,))) + 2 + 947 == 1716
