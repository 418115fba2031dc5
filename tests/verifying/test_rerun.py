"""Asking the model again: real edits on pocket, the same answers, and a forged likelihood is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.verifying.submission import RESULTS, Submission, committed, here

from editharness.cli import main
from editharness.store.notes import Note, standing_notes, write_note
from editharness.verifying.places import Again, verify_all


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TQDM_DISABLE", "1")


def findings(path: Path, cases: int = 2, seed: int = 0) -> list[str]:
    (one,) = verify_all([path], here(), Again(cases, seed))
    return [str(finding) for finding in one.findings]


@pytest.mark.slow
def test_all_edits_are_written_again_where_they_carry_on() -> None:
    assert findings(committed("modules_pocket", "batch:50")) == []


@pytest.mark.slow
def test_forged_likelihoods_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submission = Submission(tmp_path)

    def surer(lines: list[dict[str, Any]]) -> None:
        for line in lines:
            if line["row"] == "ft-m":
                line["scores"]["logprob"] = -1e-9

    submission.change("samples.jsonl.gz", surer)
    submission.write()
    assert main(["verify", str(tmp_path)]) == 0  # no score shows it
    capsys.readouterr()
    words = ["verify", str(tmp_path), "--rerun", "2", "--tolerance", "0.0001", "--sign", "A. Reader"]
    assert main(words) == 1
    assert not list(tmp_path.rglob("note-*")), "what did not come out again is not signed"
    out = capsys.readouterr().out
    assert "asked again, logprob is -" in out
    assert "row ft-m, modules_pocket_free, case pocket-" in out
    assert out.count("asked again") == out.count("logprob is -")  # all else is as it was


@pytest.mark.slow
def test_what_came_out_again_is_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Submission(tmp_path).write()
    assert main(["verify", str(tmp_path), "--rerun", "2", "--seed", "3", "--sign", "A. \x1b[31mReader"]) == 0
    assert "note-reproduced-a-31mreader-" in capsys.readouterr().err
    (path,) = tmp_path.rglob("note-*.json")
    (note,) = standing_notes(path.parent)
    assert (note.kind, note.by) == ("reproduced", "A. ?[31mReader")
    assert note.text.startswith("2 cases edited and asked again (drawn with seed 3, tolerance 0.02)")
    assert main(["verify", str(tmp_path)]) == 0


def test_notes_are_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Submission(tmp_path).write()
    (path,) = tmp_path.rglob("record.json")
    note = Note("challenged", "a" * 64, "B", "2026-01-31", "not so")
    written = write_note(path.parent, note)
    assert main(["verify", str(tmp_path)]) == 0
    assert "is about an earlier state of this record" in capsys.readouterr().out
    for bad, problem in ((replace(note, text="<b>"), "looks like HTML"), (replace(note, date="x"), "must be a date")):
        write_note(path.parent, bad).replace(written)
        assert main(["verify", str(tmp_path)]) == 1
        assert problem in capsys.readouterr().out


@pytest.mark.slow
def test_a_site_of_verified_records_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Submission(tmp_path / "runs").write()
    words = ["site", str(tmp_path / "runs"), "--output", str(tmp_path / "site")]
    assert main(words) == 0
    (page,) = (tmp_path / "site" / "runs").glob("*.html")
    assert ">recomputed<" not in page.read_text(encoding="utf-8")
    assert main([*words, "--verify"]) == 0
    assert ">recomputed<" in page.read_text(encoding="utf-8")
    (record,) = (tmp_path / "runs").rglob("record.json")
    record.write_text(record.read_text().replace('"done": ', '"done": 1'))
    assert main([*words, "--verify"]) == 0
    assert "error: " in capsys.readouterr().err
    (page,) = (tmp_path / "site" / "runs").glob("*.html")
    assert ">recomputed<" not in page.read_text(encoding="utf-8")


@pytest.mark.slow
def test_another_model_is_named(tmp_path: Path) -> None:
    submission = Submission(tmp_path)
    submission.record["model"].update(digest_before="a" * 64, digest_after="a" * 64)
    submission.write()
    (finding,) = findings(tmp_path)
    assert "model.digest_before: the model here has the weights" in finding


def records() -> Iterator[Path]:
    """One record of every task and schedule; and methods that draw while they edit, or train before."""
    yield from sorted({committed(task.name, s) for task in RESULTS.iterdir() for s in schedules(task)})
    for method in ("grace", "locft-bf", "oracle", "mend"):
        yield from sorted((RESULTS / "negation_pocket").glob(f"{method}-*"))[:1]


def schedules(task: Path) -> set[str]:
    return {json.loads(path.read_text())["schedule"]["asked"] for path in task.glob("*/record.json")}


@pytest.mark.long
@pytest.mark.parametrize("record", records(), ids=lambda path: f"{path.parent.name} {path.name}")
def test_committed_records_can_be_made_again(record: Path) -> None:
    assert [line for line in findings(record, 3) if line.startswith("error")] == []
