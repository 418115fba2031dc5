"""Labels by people: the file goes out harmless and blind, and comes in strictly."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.errors import DataError, RecordError
from editharness.judge import Item, Verdict
from editharness.judging.labels import COLUMNS, export_labels, harmless, import_labels, item_id, sample_items

ITEMS = [Item(f"Question {n}?", "Oslo", f"answer {n}", ("Kristiania",)) for n in range(20)]
ids = [item_id(item) for item in ITEMS]


def filled(path: Path, *lines: str, header: str = ",".join(COLUMNS), encoding: str = "utf-8") -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return path


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_out_and_in_again(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    nasty = [
        Item("Q", "Oslo", text) for text in ('=1+1"', "two\nlines", "a,b;c", "", "'quoted'", "tab\tbed", "ünï\u202e")
    ]
    assert export_labels(path, nasty) == len(nasty)
    header, *found = rows(path)
    assert tuple(header) == COLUMNS
    labels = ["correct", "Incorrect ", "", "correct", "correct", "incorrect", "correct"]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([header, *([*row[:-1], label] for row, label in zip(found, labels, strict=True))])
    read = import_labels(path, nasty)
    assert [read[item.digest].label for item in nasty] == [
        "correct", "incorrect", "unscored", "correct", "correct", "incorrect", "correct",
    ]  # fmt: skip
    assert read[nasty[2].digest] == Verdict("unscored", "left blank")


def test_the_file_is_blind_and_shows_every_name_of_the_answer(tmp_path: Path) -> None:
    export_labels(tmp_path / "labels.csv", ITEMS[:1])
    assert rows(tmp_path / "labels.csv")[1] == [ids[0], "Question 0?", "Oslo | Kristiania", "answer 0", ""]


@given(st.text(alphabet="=+-@\t\r\n 'ab\"", max_size=8))
def test_no_cell_is_a_formula(text: str) -> None:
    cell = harmless(text)
    assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell in (text, f"'{text}")


def test_the_sample_depends_on_the_seed_and_not_on_the_order() -> None:
    shuffled = random.Random(5).sample(ITEMS, len(ITEMS))
    drawn = sample_items(ITEMS + ITEMS, 7, 0)
    assert drawn == sample_items(shuffled, 7, 0)
    assert len(set(drawn)) == 7
    assert drawn != sample_items(ITEMS, 7, 1)
    assert sorted(i.given for i in sample_items(ITEMS, None, 3)) == sorted(i.given for i in ITEMS)


def test_work_is_never_overwritten(tmp_path: Path) -> None:
    path = filled(tmp_path / "labels.csv", f"{ids[0]},q,g,a,correct")
    before = path.read_bytes()
    with pytest.raises(RecordError, match="is already there and may hold labels"):
        export_labels(path, ITEMS)
    assert path.read_bytes() == before
    with pytest.raises(RecordError, match="there is no folder"):
        export_labels(tmp_path / "no" / "labels.csv", ITEMS)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([f"{ids[0]},q,g,a,yes"], "line 2: label 'yes': write correct or incorrect, or leave it blank"),
        ([f"{ids[0]},q,g,a,correct", f"{ids[1]},q,g,a,A"], "line 3: label 'A'"),
        ([f"{ids[0]},q,g,a,correct", "", "0123,q,g,a,correct"], "line 4: id '0123' is no answer of these runs"),
        ([f"{ids[0]},q,g,a,correct", f"{ids[0]},q,g,a,incorrect"], "line 3: id '.*' stands twice"),
        ([f"{ids[0]},q,g,correct"], "line 2: has 4 cells, not 5"),
        ([f'{ids[0]},"two\nlines",g,a,correct', f"{ids[1]},q,g,a,maybe"], "line 4: label 'maybe'"),
        ([f"{ids[0]},q,g,a,", f"{ids[1]},q,g,a,"], "no line has a label"),
        ([], "no line has a label"),
    ],
)
def test_a_wrong_line_is_named(lines: list[str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=problem):
        import_labels(filled(tmp_path / "labels.csv", *lines), ITEMS)


def test_a_wrong_header_or_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 1: needs one column 'label'"):
        import_labels(filled(tmp_path / "a.csv", "1", header="id,verdict"), ITEMS)
    with pytest.raises(DataError, match="not UTF-8"):
        import_labels(filled(tmp_path / "b.csv", "é", encoding="latin-1"), ITEMS)
    with pytest.raises(DataError, match="cannot be read"):
        import_labels(tmp_path / "absent.csv", ITEMS)


def test_semicolons_and_moved_columns_are_read(tmp_path: Path) -> None:
    path = filled(tmp_path / "l.csv", f"correct;{ids[3]}", header="Label;ID")
    assert import_labels(path, ITEMS) == {ITEMS[3].digest: Verdict("correct")}
