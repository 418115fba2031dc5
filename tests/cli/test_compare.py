"""`editharness compare` over committed records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.store import read_scores

RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"


def folder(task: str, method: str, schedule: str) -> Path:
    """The committed run of a method under a schedule."""
    paths = sorted((RESULTS / task).glob(f"{method}-*/record.json"))
    return next(p.parent for p in paths if json.loads(p.read_text())["schedule"]["asked"] == schedule)


FT_M, MEMIT = (folder("modules_pocket", method, "batch:50") for method in ("ft-m", "memit"))


def test_columns_and_changed_cases_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(FT_M), str(MEMIT), "--cases", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"A ft-m ({FT_M.name}): modules_pocket, batch:50, 50 edits, seed 0")
    assert "guided/decoded/natural/exact" in out
    assert "McNemar p" in out
    assert out.count("expected: ") >= 2
    assert "Please answer the question" in out


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    column = "free/decoded/natural/exact"
    assert main(["compare", str(FT_M), str(MEMIT), "--cases", "50", "--column", column, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    told = next(one for one in made["columns"] if one["name"] == column)
    a, b = (read_scores(path) for path in (FT_M, MEMIT))
    assert a is not None
    assert b is not None
    left, right = a.columns["ft-m", column][0], b.columns["memit", column][0]
    changed = {case for case in left if left[case] != right[case]}
    assert {case["case"] for case in made["cases"]} == changed
    assert told["only_a"] + told["only_b"] == len(changed)
    assert all(said["a"] != said["b"] or said["prompt"] for case in made["cases"] for said in case["said"])


def test_what_cannot_be_compared_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    single = folder("modules_pocket", "memit", "single")
    assert main(["compare", str(MEMIT), str(single)]) == 2
    assert "not comparable: schedule differs (batch:50 and single)" in capsys.readouterr().err
    assert main(["compare", str(MEMIT), str(single), "--allow-different", "schedule"]) == 0
    assert "although these differ: schedule" in capsys.readouterr().out
    for words in ([str(MEMIT)], [str(MEMIT), "nowhere"], [str(MEMIT), str(FT_M), "--column", "z"]):
        assert main(["compare", *words]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_texts_cannot_act_on_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(MEMIT, copy)
    raw = json.loads((copy / "record.json").read_text())
    raw["schedule"]["asked"] = "batch:50"
    raw["rows"][-1]["columns"][0]["name"] = "\x1b[2Jevil"
    (copy / "record.json").write_text(json.dumps({**raw, "task": raw["task"]}))
    assert main(["compare", str(copy), str(copy)]) == 0
    out = capsys.readouterr().out
    assert "?[2Jevil" in out
    assert all(line.isprintable() for line in out.splitlines())
