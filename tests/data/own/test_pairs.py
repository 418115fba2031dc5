from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.data.own.pairs import read_pairs
from editharness.data.records import clean
from editharness.errors import DataError
from editharness.types import Skipped


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_csv_and_json_lines_are_read_alike(tmp_path: Path) -> None:
    row = {"question": "Who fathered Ada?", "answer": "Byron", "subject": "Ada", "new_answer": "Keats", "id": "7"}
    table = written(
        tmp_path,
        "qa.csv",
        "\ufeffid,question,answer,aliases,subject,new_answer\n"
        '7,"Who  fathered Ada?",Byron,Lord Byron | G. Byron,Ada,Keats\n',
    )
    lines = written(tmp_path, "qa.jsonl", json.dumps({**row, "id": 7, "aliases": ["Lord Byron", "G. Byron"]}) + "\n")
    (pair,) = read_pairs(table).pairs
    assert read_pairs(lines).pairs == (pair,)
    assert (pair.question, pair.aliases, pair.new_answer, pair.id) == (
        "Who fathered Ada?",
        ("Lord Byron", "G. Byron"),
        "Keats",
        "7",
    )


def test_target_is_another_name_of_new_answer(tmp_path: Path) -> None:
    file = read_pairs(written(tmp_path, "qa.csv", "question,answer,target\nWho?,A,B\n"))
    assert file.pairs[0].new_answer == "B"
    assert file.pairs[0].id == "own-1"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",A,,", Skipped(2, "question", "is empty")),
        ("Where?,?!,,", Skipped(2, "answer", "'?!' has no letter or digit")),
        ("Who?,A,,", Skipped(2, "question", "came before, in record 1")),
        ("Who?,C,,", Skipped(2, "question", "came before, in record 1: it differs")),
        ("Where?,A,B,C", Skipped(2, "target", "is 'C', but new_answer is 'B'; give one of them")),
        ("Where?,A", Skipped(2, "", "has 2 cells instead of 4")),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, row: str, problem: Skipped) -> None:
    file = read_pairs(written(tmp_path, "qa.csv", f"question,answer,new_answer,target\nWho?,A,,\n{row}\n"))
    assert file.skipped == (problem,)
    assert len(file.pairs) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "names no column 'question'"),
        ("question,anwser\nWho?,A\n", "names no column 'answer'; is it 'anwser'"),
        ("question,answer\n", "holds no pair"),
        ('question,answer\n"Who?,A\n', "not CSV"),
    ],
)
def test_a_file_without_pairs_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_pairs(written(tmp_path, "qa.csv", text))
    with pytest.raises(DataError, match="no such file"):
        read_pairs(tmp_path / "absent.csv")


def test_other_columns_are_named(tmp_path: Path) -> None:
    assert read_pairs(written(tmp_path, "qa.csv", "question,answer,topic\nWho?,A,x\n")).ignored == ("topic",)


words = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1).filter(
    lambda text: any(letter.isalnum() for letter in text)
)


@given(st.lists(st.tuples(words, words), min_size=1))
def test_every_row_becomes_a_pair_or_is_named(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("pairs") / "qa.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("question", "answer"), *rows])
    found = read_pairs(path)
    assert len(found.pairs) + len(found.skipped) == len(rows)
    assert {pair.question for pair in found.pairs} == {clean(question) for question, _ in rows}
