from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editharness.data.own.case_file import check_file, holds, read_case
from editharness.data.records import Record
from editharness.types import Skipped

CASE: dict[str, Any] = {
    "schema": 1,
    "id": "a",
    "question": "Who is the mother of Ada?",
    "subject": "Ada",
    "subject_span": [21, 24],
    "target": "Mary",
    "target_aliases": [],
    "old": "Anne",
    "old_aliases": ["Annabella"],
    "paraphrases": ["The mother of Ada is who?"],
    "completion": "The mother of Ada is",
    "completion_span": [14, 17],
    "neighbours": [{"prompt": "Who is the mother of Bo?", "answer": "Eve", "aliases": []}],
    "answer_type": "person",
    "made_by": {
        "question": ["given"],
        "subject": ["rule:capitals"],
        "target": ["given"],
        "old": ["given"],
        "paraphrases": ["server:m"],
        "completion": ["rule:copula"],
        "neighbours": ["rule:shared words"],
    },
}


def checked(folder: Path, *rows: Any) -> list[Skipped]:
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return check_file(path)[1]


def test_what_is_read_is_written_again() -> None:
    assert read_case(Record(1, CASE)).to_json() == CASE


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"schema": 2}, "schema", "is 2, not 1"),
        ({"id": ""}, "id", "is empty"),
        ({"subject_span": [0, 3]}, "subject_span", "[0, 3] does not cut the subject out of its text"),
        ({"subject_span": [21, 240]}, "subject_span", "[21, 240] does not cut the subject out of its text"),
        ({"subject_span": "21"}, "subject_span", "is text, not two numbers [start, end]"),
        ({"completion_span": None}, "completion_span", "is null, not two numbers [start, end]"),
        ({"target": ""}, "target", "is empty"),
        ({"target": "annabella"}, "target", "'annabella' is the old answer"),
        ({"target": "mother"}, "question", "gives the answer 'mother' away"),
        ({"paraphrases": ["Is it Anne?"]}, "paraphrases", "gives the answer 'Anne' away"),
        ({"paraphrases": [CASE["question"]]}, "paraphrases", "holds the question itself"),
        ({"paraphrases": []}, "made_by.paraphrases", "names 1 makers of 0 values"),
        ({"neighbours": [{"prompt": "x", "answer": ""}]}, "neighbours[0].answer", "is empty"),
        (
            {"neighbours": [{"prompt": "Who is ada?", "answer": "x"}]},
            "neighbours",
            "'Who is ada?' is about the subject itself",
        ),
        ({"made_by": {**CASE["made_by"], "old": [""]}}, "made_by.old", "is a list, not a list of who made each value"),
        ({"made_by": None}, "made_by", "is null, not an object"),
    ],
)
def test_what_is_wrong_is_named_by_record_and_field(
    tmp_path: Path, change: dict[str, Any], field: str, reason: str
) -> None:
    found = checked(tmp_path, {**CASE, **change})
    assert Skipped(1, field, reason) in found


def test_repeated_cases_and_lines_that_are_none(tmp_path: Path) -> None:
    assert checked(tmp_path, CASE, CASE) == [
        Skipped(2, "id", "is the same as in record 1"),
        Skipped(2, "question", "is the same as in record 1"),
    ]
    assert checked(tmp_path, CASE, 3) == [Skipped(2, "", "is a number")]


def test_answers_are_held_as_whole_words() -> None:
    assert holds("The Nile, in Egypt", "nile")
    assert not holds("Nilesh", "Nile")
    assert holds("is it c++?", "C++")
