from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.errors import RecordError
from editharness.store import find_records, not_so, read_record, read_scores
from editharness.store.fields import loads
from editharness.testing.records import example_columns, example_record, write_example

ROWS = {"method": example_columns({"PP": 0.9, "PN": 0.5}), "none": example_columns({"PP": 0.1}, cases=20)}


@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    return write_example(tmp_path / "runs", example_record(rows=ROWS), ROWS)


def test_records_are_found_at_any_depth_once_and_in_order(tmp_path: Path) -> None:
    b = write_example(tmp_path / "b" / "deep", example_record("b", ROWS), ROWS)
    a = write_example(tmp_path / "a", example_record("a", ROWS), ROWS)
    assert find_records([tmp_path]) == [a, b]
    assert find_records([b, tmp_path, tmp_path / "a"]) == [a, b]
    assert find_records([b]) == [b]


def test_nothing_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such file or folder"):
        find_records([tmp_path / "none"])
    with pytest.raises(RecordError, match=r"no record\.json here; `editharness eval"):
        find_records([tmp_path])


def test_links_and_hidden_folders_are_left_alone(tmp_path: Path, record_file: Path) -> None:
    root = tmp_path / "board"
    (root / "linked").mkdir(parents=True)
    (root / "linked" / "record.json").symlink_to(record_file)
    (root / "folder").symlink_to(record_file.parent)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "record.json").write_bytes(record_file.read_bytes())
    with pytest.raises(RecordError, match="no record"):
        find_records([root])


def test_a_broken_file_is_one_line_with_its_name(record_file: Path) -> None:
    record_file.write_text('{"schema": 1, "id": "x"}')
    with pytest.raises(RecordError, match=rf"^{record_file}: created: missing$"):
        read_record(record_file)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON: not UTF-8"),
        ('{"schema": 1}'.encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"schema": 1, "id": "\\ud800"}', "half a character"),
        (b'{"schema": 1', "not JSON"),
        (b'{"schema": NaN}', "NaN is not a finite number"),
        (b'{"schema": -Infinity}', "-Infinity is not a finite number"),
        (b'{"schema": 1e999}', "1e999 is not a finite number"),
        (b'{"schema": 1, "schema": 1}', "stands twice"),
        (b"[" * 100_000, "nested deeper|not JSON"),
        (b"[" * 100 + b"]" * 100, "nested deeper than 24 levels"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"schema": 99}', "schema: 99 cannot be read here, only 1 to 2: install the editharness that wrote it"),
        (b'{"schema": 99999999999999999999}', "schema: is too large a number"),
        (b" " * (5 * 2**20), "larger than 4 MiB"),
    ],
)
def test_malformed_files_are_refused_in_one_line(record_file: Path, content: bytes, problem: str) -> None:
    record_file.write_bytes(content)
    with pytest.raises(RecordError, match=problem) as caught:
        read_record(record_file)
    assert "\n" not in str(caught.value)


def test_pipes_and_folders_are_not_records(tmp_path: Path) -> None:
    pipe = tmp_path / "record.json"
    os.mkfifo(pipe)
    with pytest.raises(RecordError, match="not a plain file"):
        read_record(pipe)
    with pytest.raises(RecordError, match="not a plain file"):
        read_record(tmp_path)
    with pytest.raises(RecordError, match="cannot be read"):
        read_record(tmp_path / "absent")


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_loads_gives_json_or_an_error_of_ours(data: bytes) -> None:
    try:
        value, problem = loads(data), ""
    except RecordError as error:
        value, problem = None, str(error)
    assert "\n" not in problem
    json.dumps(value, allow_nan=False)


def test_scores_are_read_back(record_file: Path) -> None:
    scores = read_scores(record_file.parent)
    assert scores is not None
    columns, clusters = ROWS["method"]
    assert scores.columns[("method", "PP")] == (columns[0].values, True)
    assert scores.columns[("method", "PP-PN")][1] is False
    assert scores.clusters == clusters
    assert read_scores(record_file.parent.parent) is None


def problems(record_file: Path) -> list[tuple[str, str]]:
    scores = read_scores(record_file.parent)
    assert scores is not None
    return list(not_so(read_record(record_file), scores))


def test_a_record_is_recomputed_from_its_scores(record_file: Path) -> None:
    assert problems(record_file) == []


def test_a_beautified_number_is_found(record_file: Path) -> None:
    raw = json.loads(record_file.read_text())
    raw["rows"][0]["columns"][0]["value"] += 0.02
    record_file.write_text(json.dumps(raw))
    ((place, problem),) = problems(record_file)
    assert place == "rows[0].columns[0]"
    assert problem.startswith("row method, column PP: the record says value 0.88, the scores give 0.86")


def test_changed_scores_are_found(record_file: Path) -> None:
    scores = record_file.parent / "scores.jsonl"
    scores.write_text(scores.read_text().replace('"case-0": 1.0', '"case-0": 0.0', 1))
    assert any(problem.startswith("row method, column PP:") for _, problem in problems(record_file))


def test_broken_scores_are_one_line(record_file: Path) -> None:
    (record_file.parent / "scores.jsonl").write_text('{"row": "method"}\n')
    with pytest.raises(RecordError, match=r"scores\.jsonl: line 1\.column: missing"):
        read_scores(record_file.parent)


def test_a_line_of_scores_stands_once(record_file: Path) -> None:
    scores = record_file.parent / "scores.jsonl"
    first, second, *_ = scores.read_text().splitlines()
    for twice in (first, second):
        scores.write_text("\n".join([first, second, twice]))
        with pytest.raises(RecordError, match="stands twice"):
            read_scores(record_file.parent)
