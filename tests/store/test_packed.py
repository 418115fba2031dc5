"""What the index keeps of a record is all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.errors import RecordError
from editharness.store import find_records, read_record
from editharness.store.packed import pack, unpack
from editharness.testing.records import example_columns, example_record, example_series

RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"
ROWS = {"method": example_columns({"PP": 0.9, "PN": 0.5}), "none": example_columns({"PP": 0.1})}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def test_committed_records_come_back_whole() -> None:
    for path in find_records([RESULTS])[::5]:
        record = read_record(path)
        assert unpack(pack(record)) == record


@given(note=TEXT, title=TEXT, options=st.dictionaries(TEXT, st.none() | st.integers() | TEXT | st.lists(st.booleans())))
def test_any_text_comes_back(note: str, title: str, options: dict[str, object]) -> None:
    record = example_record("rome", ROWS, series=example_series(), notes=(note, "/home/someone/file", "\x00"))
    record = replace(record, method=replace(record.method, title=title, options=options))
    assert unpack(pack(record)) == record


@pytest.mark.parametrize("text", ["", "{", "1", "[]", "[{}, [], []]", "[" * 100_000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        unpack(text)


def test_a_row_that_names_a_column_too_many_is_refused() -> None:
    text = pack(example_record("rome", ROWS))
    with pytest.raises(RecordError, match="not a packed record"):
        unpack(text.replace("[[0,", "[[999,", 1))
