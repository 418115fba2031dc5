"""A run as a submission: verified first, copied as it is, told in words; nothing of a bad one is written."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from tests.verifying.submission import Submission, committed, here

from editharness.cli import main
from editharness.submitting import prepare, pull_request, write
from editharness.verifying.places import verify_all


def test_a_run_is_packed_as_it_is(tmp_path: Path) -> None:
    submission, findings = prepare(committed(), here())
    assert submission is not None
    assert findings == []
    target = write(submission, tmp_path)
    assert target.parent == tmp_path / "leaderboards" / "results" / "modules_pocket"
    assert target.name.startswith(f"{committed().name}-")
    assert {f.name: f.read_bytes() for f in target.iterdir()} == {f.name: f.read_bytes() for f in committed().iterdir()}
    assert write(submission, tmp_path) == target  # again: the same
    assert [one.findings for one in verify_all([tmp_path], here())] == [()]


def test_two_runs_of_one_configuration_do_not_share_a_path(tmp_path: Path) -> None:
    mine, yours = Submission(tmp_path / "a"), Submission(tmp_path / "b")
    yours.record["created"] = "2026-11-02T10:00:00Z"
    yours.write()
    places = [made.place for one in (mine, yours) if (made := prepare(one.folder, here())[0]) is not None]
    assert len(set(places)) == 2


def test_the_text_names_the_method_and_where_it_comes_from() -> None:
    submission, _ = prepare(committed(), here())
    assert submission is not None
    text = pull_request([submission])
    assert text.startswith("Results: ft-m on modules_pocket\n")
    for part in (
        "`pip install editharness==0.1.0`",
        "FT-M (arXiv",
        "editharness eval --method ft-m",
        "n = 50",
        "seed 0",
    ):
        assert part in text
    assert "/home" not in text


def test_the_command_packs_a_zip_that_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", str(committed()), "--output", str(tmp_path), "--zip"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("Results: ft-m on modules_pocket")
    (path,) = tmp_path.iterdir()
    assert told.err == f"packed: {path}\n"
    with zipfile.ZipFile(path) as packed:
        assert all(name.startswith(f"modules_pocket/{committed().name}-") for name in packed.namelist())
    assert main(["verify", str(path)]) == 0


def test_nothing_of_a_bad_run_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Submission(tmp_path / "runs")
    bad.column()["value"] = 0.1
    bad.write()
    assert main(["submit", str(committed()), str(bad.folder), "--output", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "the record says value 0.1" in told.err
    assert told.err.endswith("nothing was packed: mend what is named as an error\n")
    assert not (tmp_path / "out").exists()


def test_one_run_is_named_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        shutil.copytree(committed(), tmp_path / name)
    assert main(["submit", str(tmp_path)]) == 2
    assert "2 records stand below it: name the folder of one" in capsys.readouterr().err
