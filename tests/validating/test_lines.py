"""The line of a field is the line where it stands, however the file is laid out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.validating.lines import json_line, record_start, steps, yaml_line

NESTED = {"a": 1, "b": [{"c": "x, : { [ \n", "a": 2}, {"c": {"d": [0, 1]}}], "e": None}


def test_a_place_is_taken_apart() -> None:
    assert steps("rows[1].columns[22].n") == ["rows", 1, "columns", 22, "n"]
    assert steps("") == []


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("a", '"a": 1'),
        ("b", '"b"'),
        ("b[0].a", '"a": 2'),
        ("b[1].c.d[1]", "1"),
        ("e", '"e"'),
        ("b[1].c.gone", '"c": {'),
    ],
)
def test_a_json_field_is_found(place: str, wanted: str) -> None:
    text = json.dumps(NESTED, indent=1)
    line = json_line(text, steps(place))
    assert text.splitlines()[line - 1].strip().startswith(wanted)


@given(st.lists(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.none(), min_size=1), min_size=1))
def test_every_field_of_every_record_is_found_in_both_layouts(records: list[dict[str, object]]) -> None:
    array = json.dumps(records, indent=1)
    lines = "\n\n".join(json.dumps(record) for record in records)
    for number, record in enumerate(records, start=1):
        assert json_line(lines, [next(iter(record))], record_start(lines, number)) == 2 * number - 1
        for key in record:
            line = json_line(array, [key], record_start(array, number))
            assert array.split("\n")[line - 1].strip().startswith(json.dumps(key) + ":")


def test_text_that_is_no_json_has_some_line() -> None:
    assert json_line('{"a": 1,\n "b": nonsense, "c": 2}', ["c"]) == 1
    assert json_line("", ["c"]) == 1
    assert record_start("", 3) == 0


def test_a_yaml_key_is_found() -> None:
    text = "a: 1\nb:\n  - c: 1\n  - c: 2\n    d: {e: 1,\n      f: 2}\n"
    found = [yaml_line(text, place) for place in (["a"], ["b", 1], ["b", 1, "c"], ["b", 1, "d", "f"], ["z"], ["b", 7])]
    assert found == [1, 4, 4, 6, 1, 2]
