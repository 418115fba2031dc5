from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from editharness.errors import RecordError
from editharness.store import RunFolder, check_writable, find_records, read_record, run_id
from editharness.testing.records import example_columns, example_record, write_example

ROWS = {"method": example_columns({"PP": 0.9, "PN": 0.5}), "none": example_columns({"PP": 0.1})}


def test_a_run_is_written_and_read_back(tmp_path: Path) -> None:
    record = example_record(rows=ROWS)
    edits = [{"case": "case-0", "outcome": "done"}]
    samples = [{"case": f"case-{i}", "text": "a /dir/with/path\n\ud800"} for i in range(3)]
    path = RunFolder(tmp_path, record.id).write(record, samples=iter(samples), edits=edits)
    assert path == tmp_path / record.id / "record.json"
    again = read_record(path)
    assert replace(again, files={}).to_json() == record.to_json()
    assert sorted(again.files) == ["edits.jsonl", "samples.jsonl.gz", "scores.jsonl"]
    lines = gzip.decompress((path.parent / "samples.jsonl.gz").read_bytes()).decode().splitlines()
    # a text is evidence: it keeps its paths, and what UTF-8 cannot hold becomes a question mark
    assert [json.loads(line)["text"] for line in lines] == ["a /dir/with/path\n?"] * 3
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "edits.jsonl",
        "record.json",
        "samples.jsonl.gz",
        "scores.jsonl",
    ]


def test_numbers_that_are_not_finite_are_kept_as_text_in_samples(tmp_path: Path) -> None:
    record = example_record(rows=ROWS)
    path = RunFolder(tmp_path, record.id).write(record, samples=[{"loglikelihood": -math.inf}])
    assert gzip.decompress((path.parent / "samples.jsonl.gz").read_bytes()) == b'{"loglikelihood": "-inf"}\n'


def test_a_recorded_run_is_not_overwritten(tmp_path: Path) -> None:
    record = example_record(rows=ROWS)
    path = write_example(tmp_path, record, ROWS)
    before = path.read_bytes()
    with pytest.raises(RecordError, match="already recorded; remove the folder or give another --output"):
        RunFolder(tmp_path, record.id)
    assert path.read_bytes() == before


def test_a_run_that_broke_off_leaves_no_record_and_can_be_made_again(tmp_path: Path) -> None:
    record = example_record(rows=ROWS)

    def broken() -> Iterator[Mapping[str, Any]]:
        yield {"case": "case-0"}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        RunFolder(tmp_path, record.id).write(record, samples=broken())
    assert [p.name for p in (tmp_path / record.id).iterdir()] == ["edits.jsonl"]
    with pytest.raises(RecordError, match=r"no record\.json here"):
        find_records([tmp_path])
    write_example(tmp_path, record, ROWS)
    assert len(find_records([tmp_path])) == 1


def test_a_record_with_a_wrong_number_is_never_written(tmp_path: Path) -> None:
    record = example_record(rows=ROWS)
    bad = replace(record, cost=replace(record.cost, seconds=math.nan))
    with pytest.raises(RecordError, match=r"cost\.seconds: nan is not a finite number"):
        RunFolder(tmp_path, bad.id).write(bad)
    assert not (tmp_path / bad.id / "record.json").exists()


@pytest.mark.parametrize("name", ["../out", "a/b", "", ".", "..", ".hidden", "x" * 200, "a\nb", "/etc"])
def test_an_id_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match="run id"):
        RunFolder(tmp_path, name)


def test_a_link_is_not_a_run_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").mkdir()
    name = run_id("rome", {})
    (tmp_path / "runs" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordError, match="is a link"):
        RunFolder(tmp_path / "runs", name)


def test_the_record_must_be_the_folders(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="says it is"):
        RunFolder(tmp_path, "other").write(example_record(rows=ROWS))


def test_check_writable_makes_the_folder_and_leaves_it_empty(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_check_writable_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RecordError, match=r"cannot be written \(.+\); give another --output") as caught:
            check_writable(path)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_check_writable_sees_missing_permissions(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RecordError, match="Permission denied"):
        check_writable(tmp_path)
