"""The index answers as the files stand, whatever has happened to it or to them."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.errors import RecordError
from editharness.store import find_records, read_record
from editharness.store.index import indexed, opened
from editharness.testing.records import example_columns, example_record, write_example

ROWS = {"method": example_columns({"PP": 0.9, "PN": 0.5}), "none": example_columns({"PP": 0.1})}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for seed in range(3):
        write_example(tmp_path / "runs", example_record("rome", ROWS, seed=seed), ROWS)
    return tmp_path / "runs"


def reread(runs: Path, cache: Path) -> list[int]:
    return [one.seed for one in indexed([runs], cache)]


def test_a_record_in_short(runs: Path, tmp_path: Path) -> None:
    one = next(one for one in indexed([runs], tmp_path / "cache") if one.seed == 0)
    assert (one.method, one.task, one.model, one.schedule, one.edits) == (
        "rome",
        "negation_pocket",
        "pocket",
        "single",
        50,
    )
    assert (one.column, one.n) == ("rectified", 50)
    assert Path(one.path).is_file()
    assert indexed([runs], tmp_path / "cache") == indexed([runs], tmp_path / "other")


def test_files_are_the_truth(runs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second, third = indexed([runs], cache)
    raw = json.loads(Path(first.path).read_text())
    Path(first.path).write_text(json.dumps({**raw, "partial": True}))
    shutil.rmtree(Path(second.path).parent)
    now = indexed([runs], cache)
    assert [one.id for one in now] == [first.id, third.id]
    assert (now[0].partial, now[1]) == (True, third)
    with sqlite3.connect(cache / "records.sqlite") as index:
        assert index.execute("SELECT count(*) FROM runs").fetchone() == (2,)
    index.close()


def settle() -> None:
    """Until the files are old enough that another write would bear another time."""
    time.sleep(0.1)


def test_only_what_changed_is_read_again(runs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    settle()
    before = indexed([runs], cache)
    with closing(sqlite3.connect(cache / "records.sqlite")) as index, index:
        index.execute("UPDATE runs SET method = 'of the index'")
    assert [one.method for one in indexed([runs], cache)] == ["of the index"] * 3
    Path(before[0].path).touch()
    assert [one.method for one in indexed([runs], cache)] == ["rome", "of the index", "of the index"]


def test_a_file_of_the_same_size_and_time_is_noticed_all_the_same(runs: Path, tmp_path: Path) -> None:
    settle()
    first, *_ = indexed([runs], tmp_path / "cache")
    facts = Path(first.path).stat()
    Path(first.path).write_text(Path(first.path).read_text().replace('"rome"', '"emor"'))
    os.utime(first.path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert indexed([runs], tmp_path / "cache")[0].method == "emor"


@pytest.mark.parametrize("offset", [-(10**9), 10**9])
def test_a_clock_that_was_wrong_hides_no_change(offset: int, runs: Path, tmp_path: Path) -> None:
    """Files of thirty years ago or hence, as a machine writes them whose clock jumps."""
    path = next(runs.glob("*/record.json"))
    settle()
    for method in ("emor", "more", "rome"):
        raw = json.loads(path.read_text())
        raw["method"]["name"] = method
        path.write_text(json.dumps(raw))
        os.utime(path, (time.time() + offset, time.time() + offset))
        found = {one.path: one.method for one in indexed([runs], tmp_path / "cache")}
        assert found[str(path)] == method


def test_a_file_that_has_just_been_written_is_not_kept(runs: Path, tmp_path: Path) -> None:
    """Another write within one tick of the clock would bear the same time."""
    path = next(runs.glob("*/record.json"))
    settle()
    for method in ("emor", "more", "rome") * 5:
        raw = json.loads(path.read_text())
        path.write_text(json.dumps({**raw, "method": {**raw["method"], "name": method}}))
        assert method in [one.method for one in indexed([runs], tmp_path / "cache")]


def test_records_are_those_of_the_files(runs: Path, tmp_path: Path) -> None:
    settle()
    wanted = [(path, read_record(path)) for path in find_records([runs])]
    for _ in range(2):
        with opened(tmp_path / "cache") as index:
            assert index.records([runs]) == wanted
    wanted[1][0].write_text("{}")
    for _ in range(2):
        with (
            opened(tmp_path / "cache") as index,
            pytest.raises(RecordError, match=re.escape(f"{wanted[1][0]}: schema")),
        ):
            index.records([runs])
        settle()


@pytest.mark.parametrize("damage", ["[", "[1]", "[{}, [], []]", ""])
def test_of_a_record_damaged_in_the_index_the_file_is_read(damage: str, runs: Path, tmp_path: Path) -> None:
    settle()
    wanted = [read_record(path) for path in find_records([runs])]
    indexed([runs], tmp_path / "cache")
    with closing(sqlite3.connect(tmp_path / "cache" / "records.sqlite")) as base, base:
        base.execute("UPDATE runs SET record = ?", (damage,))
    with opened(tmp_path / "cache") as index:
        assert [record for _, record in index.records([runs])] == wanted


def test_an_index_that_another_process_holds_is_done_without(runs: Path, tmp_path: Path) -> None:
    indexed([runs], tmp_path / "cache")
    next(runs.glob("*/record.json")).touch()
    with closing(sqlite3.connect(tmp_path / "cache" / "records.sqlite")) as holder:
        with opened(tmp_path / "cache") as index:
            holder.execute("BEGIN EXCLUSIVE")
            index._base.execute("PRAGMA busy_timeout = 10")
            assert len(index.runs([runs])) == 3
            assert len(index.records([runs])) == 3
            index.keep("key", 1)
        holder.rollback()
    assert len(indexed([runs], tmp_path / "cache")) == 3


def test_a_broken_record_is_told_and_mended(runs: Path, tmp_path: Path) -> None:
    path = next(runs.glob("*/record.json"))
    whole = path.read_text()
    path.write_text("{")
    assert [bool(one.problem) for one in indexed([runs], tmp_path / "cache")].count(True) == 1
    path.write_text(whole)
    assert not any(one.problem for one in indexed([runs], tmp_path / "cache"))


@pytest.mark.parametrize("content", [b"no database", b"", b"SQLite format 3\x00" + b"\xff" * 500])
def test_a_broken_index_is_made_anew(content: bytes, runs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "records.sqlite").write_bytes(content)
    assert sorted(reread(runs, cache)) == [0, 1, 2]
    assert sorted(reread(runs, cache)) == [0, 1, 2]


def test_an_index_of_another_version_is_made_anew(runs: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    reread(runs, cache)
    index = sqlite3.connect(cache / "records.sqlite")
    with index:
        index.execute("DROP TABLE runs")
        index.execute("CREATE TABLE runs (other TEXT)")
        index.execute("PRAGMA user_version = 99")
    index.close()
    assert sorted(reread(runs, cache)) == [0, 1, 2]


def test_without_a_cache_the_files_are_read(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert sorted(reread(runs, tmp_path / "file")) == [0, 1, 2]


def test_nothing_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no such file or folder"):
        indexed([tmp_path / "none"], tmp_path)


def test_the_command_filters(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    write_example(runs, example_record("memit", ROWS), ROWS)
    assert main(["runs", str(runs), "--method", "memit,emmet", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["method"], one["column"]) == ("memit", "rectified")
    assert main(["runs", str(runs)]) == 0
    assert capsys.readouterr().out.count("negation_pocket") == 4
    assert main(["runs", str(runs), "--task", "none"]) == 0
    assert capsys.readouterr().out == "no such run\n"
    assert main(["runs", str(runs / "nowhere")]) == 2


def test_what_a_record_says_cannot_act_on_a_terminal(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    first, second, *_ = runs.glob("*/record.json")
    raw = json.loads(first.read_text())
    raw["method"]["name"] = raw["task"] = "\x1b[2J\x1b]0;owned\x07\u202e"
    first.write_text(json.dumps(raw))
    raw = json.loads(second.read_text())
    raw["\x1b[31mred"] = 1
    second.write_text(json.dumps(raw))
    for words in ([], ["--json"]):
        assert main(["runs", str(runs), *words]) == 0
        told = capsys.readouterr()
        assert all(line.isprintable() for line in (told.out + told.err).splitlines())
        assert "is not a field of this schema" in told.err


@pytest.mark.slow
def test_a_thousand_records_are_quick(tmp_path: Path) -> None:
    rows = {**ROWS, **dict.fromkeys(("none*", "context", "constant", "echo", "target"), ROWS["none"])}
    text = json.dumps(example_record("rome", rows).to_json())
    for i in range(1000):
        (tmp_path / "runs" / f"run-{i}").mkdir(parents=True)
        (tmp_path / "runs" / f"run-{i}" / "record.json").write_text(text)
    took = []
    for _ in range(2):
        started = time.process_time()
        assert len(indexed([tmp_path / "runs"], tmp_path / "cache")) == 1000
        took.append(time.process_time() - started)
    assert took[0] < 4  # about 0.9 on an idle core
    assert took[1] < 1  # about 0.1
