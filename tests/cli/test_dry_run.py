"""`editharness eval --dry-run`: the plan that a run would follow, told without a model and without a trace."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.cli import main

EVAL = ["eval", "--method", "ft-m", "--task", "negation_pocket"]


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main([*words, "--dry-run", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, list)
    return found


def test_it_counts_the_requests_that_the_run_makes_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*EVAL, "--edits", "3", "--schedule", "batch:2", "--set", "steps=2"]
    (plan,) = planned(capsys, *words)
    assert (plan["preset"], plan["schedule"], plan["edits"]) == ("pocket", "batch:2", 3)
    assert "negation_pocket_neg" in str(plan["lm-eval_tasks"])
    assert plan["time"] == "unknown"
    assert str(plan["memory"]).startswith("about ")
    assert str(plan["how_known"]).startswith("no earlier run of ft-m on pocket (float32, cpu) in runs; memory estimat")
    assert "weights 9.6 MB" in str(plan["how_known"])
    assert not list(tmp_path.iterdir())
    assert main([*words, "--verbose"]) == 0
    told = capsys.readouterr().err
    assert f"asking ({plan['requests']})" in told
    assert "record: " in told
    (record,) = tmp_path.glob("runs/*/record.json")
    assert "verbose" not in json.loads(record.read_text())["config"]["passed"]
    (after,) = planned(capsys, *words, "--edits", "6")
    assert str(after["time"]).startswith("about ")
    assert str(after["how_known"]).startswith("time scaled from run ft-m-")
    assert int(str(after["requests"])) == 2 * int(str(plan["requests"]))


def test_what_is_not_here_is_unknown_and_is_not_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    (plan,) = planned(capsys, "eval", "--method", "memit", "--task", "negation_mcf", "--model", "not/here")
    assert (plan["preset"], plan["requests"], plan["time"], plan["memory"]) == ("unknown",) * 4
    assert "data set 'mcf' is not on this machine: pass --data mcf=PATH" in str(plan["how_known"])


def test_what_a_run_would_refuse_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*EVAL, "--dry-run", "--edits", "100000"]) == 2
    assert "has only" in capsys.readouterr().err
    (plan,) = planned(capsys, "eval", "--method", "none", "--task", "wild_pocket", "--edits", "2")
    assert "as if all stayed" in str(plan["how_known"])
