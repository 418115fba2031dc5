from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.data.records import Record, RecordFault, clean, read_records
from editharness.errors import DataError

ROWS = [{"a": "x"}, {"a": " é  y "}]


def written(folder: Path, data: str | bytes) -> Path:
    path = folder / "data.json"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2, ensure_ascii=False),
        "\ufeff" + json.dumps(ROWS),
        "\n".join(map(json.dumps, ROWS)),
        "\r\n\r\n".join(map(json.dumps, ROWS)) + "\n",
    ],
    ids=["array", "indented", "byte order mark", "lines", "blank lines"],
)
def test_arrays_and_lines_give_the_same_records(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    file = read_records(path)
    assert [(record.number, record.text("a")) for record in file.records] == [(1, "x"), (2, "é y")]
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.skipped == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("[]", "holds no record"),
        ("[1, 2]", "holds no record: record 1 is a number"),
        ("[\n{},\n{x}]", "not JSON: Expecting property name enclosed in double quotes (line 3, column 2)"),
        ('{"a": [1]}x', "not JSON: Extra data (line 1, column 11)"),
        ('{\n "data": []\n}', "holds an object, not a list of records"),
        ('"text"', "holds text, not a list of records"),
        ("case,prompt\n1,2", "not JSON: Expecting value (line 1, column 1)"),
        (b"[\xff]", "not UTF-8 text (byte 1)"),
        ("[" * 200_000, "nested too deeply"),
        ("[" + "9" * 5000 + "]", "not readable JSON"),
    ],
)
def test_one_line_for_every_unreadable_file(tmp_path: Path, data: str | bytes, words: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(DataError) as caught:
        read_records(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_folder_and_size(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_records(tmp_path / "none.json")
    with pytest.raises(DataError, match="is not a file"):
        read_records(tmp_path)
    with pytest.raises(DataError, match="larger than 10 bytes"):
        read_records(written(tmp_path, json.dumps(ROWS)), limit=10)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is not a file"):
        read_records(tmp_path / "pipe")


def test_bad_elements_and_bad_lines_are_named_and_passed_over(tmp_path: Path) -> None:
    file = read_records(written(tmp_path, '[{"a": "x"}, null, [1]]'))
    assert [(one.record, one.reason) for one in file.skipped] == [(2, "is null"), (3, "is a list")]
    file = read_records(written(tmp_path, '{"a": "x"}\n{"a":\n{"a": "y"}'))
    assert [record.number for record in file.records] == [1, 3]
    assert [(one.record, one.reason) for one in file.skipped] == [(2, "not JSON: Expecting value (line 2, column 6)")]


def fault(record: Record, accessor: str, name: str) -> str:
    with pytest.raises(RecordFault) as caught:
        getattr(record, accessor)(name)
    return f"{caught.value.field} {caught.value.reason}"


@pytest.mark.parametrize(
    ("fields", "accessor", "words"),
    [
        ({}, "text", "a is missing"),
        ({"a": None}, "text", "a is null, not text"),
        ({"a": 3}, "text", "a is a number, not text"),
        ({"a": True}, "optional", "a is true/false, not text"),
        ({"a": "\ud800"}, "text", "a holds half a character (a lone surrogate)"),
        ({"a": []}, "answers", "a holds no text"),
        ({"a": [[["x"]]]}, "answers", "a is a list, not text"),
        ({"a": ["x", 1]}, "texts", "a is a number, not text"),
        ({"a": "x"}, "record", "a is text, not an object"),
        ({"a": {}}, "records", "a is an object, not a list of objects"),
        ({"a": [{}, 1]}, "records", "a[1] is a number, not an object"),
    ],
)
def test_faults_name_field_and_kind(fields: dict[str, Any], accessor: str, words: str) -> None:
    assert fault(Record(1, fields), accessor, "a") == words


def test_fault_in_a_nested_record_names_its_path() -> None:
    record = Record(1, {"rewrites": [{"target": {"str": 1}}]})
    assert (
        fault(record.records("rewrites")[0].record("target"), "text", "str")
        == "rewrites[0].target.str is a number, not text"
    )


def test_answers_take_every_shape_in_use() -> None:
    shapes: list[Any] = ["x", ["x", "y"], [["x", "y"], ["z"]]]
    assert [Record(1, {"a": shape}).answers("a") for shape in shapes] == [("x",), ("x", "y"), ("x", "y", "z")]
    assert Record(1, {"a": ["", "x"]}).texts("a") == ("x",)
    assert Record(1, {}).texts("a") == Record(1, {"a": None}).texts("a") == ()
    assert Record(1, {}).records("a") == ()


@settings(deadline=None)
@given(st.text())
def test_clean_is_stable_and_has_single_spaces(text: str) -> None:
    once = clean(text)
    assert once == clean(once) == once.strip()
    assert "  " not in once


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@settings(deadline=None)
@given(values=st.lists(json_values, min_size=1, max_size=5))
def test_any_json_list_is_read_or_refused_in_one_line(scratch: Path, values: list[Any]) -> None:
    path = written(scratch, json.dumps(values))
    objects = [value for value in values if isinstance(value, dict)]
    if objects:
        file = read_records(path)
        assert [record.fields for record in file.records] == objects
        assert len(file.records) + len(file.skipped) == len(values)
    else:
        with pytest.raises(DataError, match="holds no record: record 1"):
            read_records(path)


@settings(deadline=None)
@given(data=st.binary(max_size=60) | st.text(st.sampled_from('[]{}":,1a\n\\')).map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_data_error_of_one_line(scratch: Path, data: bytes) -> None:
    path = written(scratch, data)
    message = ""
    try:
        assert read_records(path).records
    except DataError as error:
        message = str(error)
    assert "\n" not in message
