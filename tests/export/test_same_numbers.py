"""The exported model is the edited one: the same scores by case, from our own runs and from stock lm-eval."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import editharness as eh
import editharness_tasks
from editharness.cli import main
from editharness.models.load import quiet

EDITS = 8
POCKET = Path(eh.__file__).parents[2] / "plugins" / "editharness_plugins" / "pocket" / "model"
TASKS = Path(editharness_tasks.__file__).parent / "negation"
OF_THE_MODEL = ("PP", "PN", "prob", "contained", "generalization", "correct")
"""Columns that ask the positively edited model alone: they can be asked of it as an unedited one."""
STEPS = {"memit": "steps=10", "rome": "steps=5", "lora": "steps=40"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def folder(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the first facts of pocket in the format of a person's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITHARNESS_CACHE", str(cache))
    cases = [case for case in eh.load_cases("pocket").cases if case.split == "test"][:EDITS]
    facts = [
        {"id": c.id, "subject": c.subject_text, "prompt": c.prompt, "target": c.target, "old": c.old} for c in cases
    ]
    (tmp_path / "facts.jsonl").write_text("\n".join(map(json.dumps, facts)), encoding="utf-8")
    return tmp_path


def edit(method: str, *words: str) -> None:
    typed = ["edit", "--quiet", "--method", method, "--edits", "facts.jsonl", "--set", STEPS[method], *words]
    assert main(typed) == 0


def row(method: str, model: str = "pocket") -> dict[str, Any]:
    """The scores by case of the method's own row in a run."""
    words = ["--set", STEPS[method]] if method in STEPS else []
    typed = [
        "eval",
        "--quiet",
        "--method",
        method,
        "--model",
        model,
        "--task",
        "negation_pocket",
        "--edits",
        str(EDITS),
    ]
    assert main([*typed, *words, "--output", f"runs-{method}-{Path(model).name}"]) == 0
    (path,) = Path(f"runs-{method}-{Path(model).name}").glob("*/scores.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {one["column"]: one["values"] for one in lines if one.get("row") == method and "column" in one}


@pytest.mark.parametrize("method", STEPS)
def test_the_checkpoint_has_the_row_of_the_edit_in_memory(folder: Path, method: str) -> None:
    edit(method, "--save", "edited")
    in_memory, exported, unedited = row(method), row("none", "edited"), row("none")
    for column in OF_THE_MODEL:
        assert exported[column] == in_memory[column], column
    assert exported["PP"] != unedited["PP"]
    assert len(exported["PP"]) == EDITS


def test_the_adapter_merged_by_peft_has_that_row_too(folder: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    edit("memit", "--save", "adapter", "--as", "adapter")
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(POCKET, dtype="float32")
        PeftModel.from_pretrained(model, "adapter").merge_and_unload().save_pretrained("merged")
        AutoTokenizer.from_pretrained(POCKET).save_pretrained("merged")
    in_memory, exported = row("memit"), row("none", "merged")
    for column in OF_THE_MODEL:
        assert exported[column] == in_memory[column], column


def lm_eval(folder: Path, command: list[str], model: str, arguments: str, output: str) -> dict[str, float]:
    """What an lm-eval process says of the first facts, by task and metric."""
    tasks = "negation_pocket_pos,negation_pocket_neg"
    words = [*command, "--model", model, "--model_args", arguments, "--tasks", tasks]
    words += ["--include_path", str(TASKS), "--limit", str(EDITS), "--batch_size", "16", "--output_path", output]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **offline}, cwd=folder, timeout=600
    )
    assert done.returncode == 0, done.stderr
    (path,) = (folder / output).rglob("results_*.json")
    found = {
        f"{task} {name}": value
        for task, scores in json.loads(path.read_text())["results"].items()
        for name, value in scores.items()
        if isinstance(value, float)
    }
    assert len(found) >= 20
    return found


def test_stock_lm_eval_says_the_same_of_checkpoint_and_adapter(folder: Path) -> None:
    edit("memit", "--save", "edited")
    edit("memit", "--save", "adapter", "--as", "adapter")
    stock = [str(Path(sys.executable).parent / "lm_eval")]
    ours = [sys.executable, "-m", "editharness", "lm-eval", "run"]
    told = f"pretrained=pocket,method=memit,data=pocket,edits={EDITS},{STEPS['memit']}"
    # logprobs are sums of fp32 in another order; shares of cases must be equal
    in_memory = pytest.approx(lm_eval(folder, ours, "editharness", told, "memory"), rel=1e-4)
    assert lm_eval(folder, stock, "hf", "pretrained=edited", "checkpoint") == in_memory
    beside = f"pretrained={POCKET},dtype=float32,peft={folder / 'adapter'}"
    assert lm_eval(folder, stock, "hf", beside, "adapter") == in_memory
    assert lm_eval(folder, stock, "hf", f"pretrained={POCKET},dtype=float32", "unedited") != in_memory
