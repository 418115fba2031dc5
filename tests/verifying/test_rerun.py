"""Asking the model again: real edits on pocket, the same answers, and a forged likelihood is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.verifying.submission import RESULTS, Submission, committed, here

from editharness.cli import main
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
    assert main(["verify", str(tmp_path), "--rerun", "2", "--tolerance", "0.0001"]) == 1
    out = capsys.readouterr().out
    assert "asked again, logprob is -" in out
    assert "row ft-m, modules_pocket_free, case pocket-" in out
    assert out.count("asked again") == out.count("logprob is -")  # all else is as it was


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
