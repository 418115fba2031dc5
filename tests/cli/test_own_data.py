"""Data of one's own, from the rows of docs/data.md to scores of the packaged model."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.registry import load_plugins

GUIDE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
ROWS, COMMANDS = (re.findall(rf"^```{kind}\n(.*?)^```", GUIDE, re.M | re.S)[0] for kind in ("csv", "console"))
TASKS = re.findall(r"`((?:wild|synthetic|factcheck|sequential|negation)_own(?:_cloze)?)`", GUIDE.partition("Tasks:")[2])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "qa.csv").write_text(ROWS, encoding="utf-8")
    return tmp_path


def test_the_guide_names_the_tasks_that_there_are() -> None:
    offered = {task for task in load_plugins().tasks if re.search(r"_own(_cloze)?$", task)}
    beside = {"paraphrase_own_cloze", "neighbour_own_cloze"}  # asked by negation, not a run of their own
    assert set(TASKS) | beside == offered | {"factcheck_own", "factcheck_own_cloze"}  # which is no lm-eval group


@pytest.mark.parametrize("data", ["own", "own_cloze"])
def test_every_task_about_own_data_is_pockets_with_another_name(data: str) -> None:
    paths = {
        task.spec.path
        for name, task in load_plugins().tasks.items()
        if re.search(rf"_{data}(_(?!cloze)[a-z]+)?$", name)
    }
    assert len(paths) >= 13
    for path in paths:
        twin = path.with_name(path.name.replace(data, "pocket"))
        assert path.read_text(encoding="utf-8") == twin.read_text(encoding="utf-8").replace("pocket", data)


@pytest.mark.slow
def test_the_guides_commands_lead_to_a_score(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS.splitlines():
        assert main(shlex.split(command)[1:]) == 0, command
    (record,) = folder.glob("runs/*/record.json")
    found = json.loads(record.read_text(encoding="utf-8"))
    assert found["data"]["name"] == "own"
    out, _ = capsys.readouterr()
    assert "cases.jsonl: 12 cases of 12 rows" in out
    assert re.search(r"^ *1 +memit ", out, re.M)
    assert (folder / "review.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("task", [task for task in TASKS if task != "wild_own"])
def test_every_other_task_runs_too(task: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "build", "qa.csv", "--output", "cases.jsonl"]) == 0
    data = task.partition("_")[2]
    words = ["eval", "--method", "ft-l", "--task", task, "--data", f"{data}=cases.jsonl", "--edits", "4"]
    assert main([*words, "--output", "runs"]) == 0
    assert f"data {data} " in " ".join(capsys.readouterr().out.split())
