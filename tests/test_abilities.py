"""Abilities: stock-like lm-eval tasks along an arm, found by name, refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.abilities import PRESETS, ability_names, load_abilities
from editharness.cli import main
from editharness.errors import UnknownNameError, UsageError
from editharness.registry import load_plugins

pytestmark = pytest.mark.slow


def test_presets_are_written_out_and_each_name_stands_once() -> None:
    assert ability_names("pocket, piqa,pocket_text") == (*PRESETS["pocket"], "piqa")
    with pytest.raises(UsageError, match="a preset: paper, pocket"):
        ability_names(" , ")


def test_a_name_that_no_task_has_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'pocket_facts'"):
        load_abilities(["pocket_fact"], load_plugins())


def test_a_stock_task_whose_data_cannot_be_loaded_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    with pytest.raises(UsageError, match=r"^--abilities piqa: its data cannot be loaded .* leave it out$") as caught:
        load_abilities(["piqa"], load_plugins())
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_every_stock_name_of_the_preset_is_known_to_lm_eval() -> None:
    from lm_eval.tasks import TaskManager

    from editharness.abilities import _folders

    names = PRESETS["paper"]
    manager = TaskManager(include_defaults=False, include_path=_folders(names, load_plugins()))
    assert set(names) <= set(manager.all_tasks)


@pytest.mark.slow
def test_abilities_are_asked_before_at_checkpoints_and_after(tmp_path: Path) -> None:
    words = ["eval", "--method", "ft-m", "--task", "factcheck_pocket", "--edits", "4", "--schedule", "batch:2"]
    words += ["--checkpoints", "2", "--abilities", "pocket", "--ability-limit", "12", "--output", str(tmp_path)]
    assert main(words) == 0
    (path,) = tmp_path.glob("*/record.json")
    record = json.loads(path.read_text())
    row = next(row for row in record["rows"] if row["kind"] == "method")
    series = {one["name"]: one for one in row["series"] if one["name"].startswith("ability")}
    assert set(series) == {f"ability {name}{part}" for name in PRESETS["pocket"] for part in ("", ", change")}
    facts = series["ability pocket_facts"]["points"]
    assert [(point["edits"], point["n"]) for point in facts] == [(0, 12), (2, 12), (4, 12)]
    assert facts[0]["value"] == 1.0  # pocket knows what it was taught
    change = series["ability pocket_facts, change"]["points"]
    assert [point["edits"] for point in change] == [2, 4]
    assert change[-1]["value"] == pytest.approx(facts[-1]["value"] - facts[0]["value"])
    text = series["ability pocket_text"]
    assert text["better"] == "lower"
    assert text["points"][-1]["value"] > text["points"][0]["value"]  # fine-tuning costs the model its text
    assert main(["verify", str(tmp_path)]) == 0


def test_abilities_need_edits_that_carry_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "--method", "memit", "--task", "factcheck_pocket", "--edits", "2", "--schedule", "single"]
    assert main([*words, "--abilities", "pocket", "--output", str(tmp_path)]) == 2
    assert "--abilities: under single no edit builds on another" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
