from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.errors import DataError
from editharness.leaderboard.csv_rows import read_rows

COLUMNS = ("name", "value")


def written(folder: Path, text: str) -> Path:
    path = folder / "figures.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return path


@given(
    st.lists(st.tuples(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")), st.integers(0, 100)))
)
def test_what_csv_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, int]]) -> None:
    path = tmp_path_factory.mktemp("rows") / "figures.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *pairs])
    found = read_rows(path, COLUMNS)
    assert [(row.text("name"), row.percent("value")) for row in found] == [(name.strip(), v) for name, v in pairs]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "figures.csv line 1: the columns are not name,value"),
        ("value,name\n1,2\n", "figures.csv line 1: the columns are not name,value"),
        ("name,value\na,1\nb\n", "figures.csv line 3: 1 fields instead of 2"),
        ('name,value\na,1\n"b,2\n', "not CSV"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_rows(written(tmp_path, text), COLUMNS)


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("x", "is 'x', not a number"),
        ("nan", "is nan, not from 0 to 1"),
        ("1.5", "is 1.5, not from 0 to 1"),
        ("", "is empty"),
    ],
)
def test_a_broken_cell_is_named_with_line_and_field(tmp_path: Path, cell: str, problem: str) -> None:
    (_, row) = read_rows(written(tmp_path, f"name,value\na,1\nb,{cell}\n"), COLUMNS)
    with pytest.raises(DataError, match=f"figures.csv line 3: field 'value' {problem}"):
        row.share("value")


def test_counts_and_choices(tmp_path: Path) -> None:
    (row,) = read_rows(written(tmp_path, "name,value\na,07\n"), COLUMNS)
    assert row.count("value") == 7
    with pytest.raises(DataError, match="field 'name' is 'a', not a whole number from 1"):
        row.count("name")
    with pytest.raises(DataError, match="field 'name' is 'a', not one of b, c"):
        row.one_of("name", ("b", "c"))


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / "absent.csv", COLUMNS)
    (tmp_path / "figures.csv").write_bytes(b"name,value\n\xff,1\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_rows(tmp_path / "figures.csv", COLUMNS)
