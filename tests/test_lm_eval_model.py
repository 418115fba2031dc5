"""By the commands of docs/lm_eval.md: an edited model in lm-eval's own command, our tasks in stock lm_eval."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import editharness_tasks
from editharness.asking import quiet
from editharness.cli import main
from editharness.errors import EditHarnessError, UnknownNameError, UsageError
from editharness.lm_eval_model import EditHarnessLM
from editharness.testing.tiny import save_tiny

DOC = Path(__file__).parents[1] / "docs" / "lm_eval.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOC.read_text(encoding="utf-8"), re.M | re.S)


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {
        **os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "HF_DATASETS_OFFLINE": "1",
    }  # fmt: skip
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, env=environment, cwd=folder, timeout=600
    )


def scores(results: dict[str, Any], task: str) -> dict[str, float]:
    return {key.partition(",")[0]: value for key, value in results["results"][task].items()}


@pytest.mark.slow
def test_an_edited_model_answers_any_task_in_lm_evals_own_command(tmp_path: Path) -> None:
    (command, _), (task,), (question,) = (blocks(language) for language in ("console", "yaml", "json"))
    (tmp_path / "my_tasks").mkdir()
    (tmp_path / "my_tasks" / "samarium.yaml").write_text(task)
    (tmp_path / "my_tasks" / "samarium.jsonl").write_text(question)
    done = shell(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "|negation_pocket_pos|" in done.stdout
    (path,) = (tmp_path / "results" / "pocket").glob("results_*.json")
    results = json.loads(path.read_text())
    assert scores(results, "samarium")["acc"] == 1.0  # the third fact of pocket's file
    assert scores(results, "negation_pocket_pos")["exact"] >= 0.8
    assert results["n-samples"]["negation_pocket_pos"] == {"original": 5, "effective": 5}
    editing = results["config"]["editing"]
    assert (editing["method"], editing["edits"], editing["statuses"]) == ("memit", 5, {"done": 5})
    assert results["config"]["model"] == "editharness"
    names = sorted(found.name.partition("_2")[0] for found in path.parent.glob("samples_*.jsonl"))
    assert names == ["samples_negation_pocket_pos", "samples_samarium"]
    (samples,) = path.parent.glob("samples_negation_pocket_pos_*.jsonl")
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    assert {"doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "exact"} <= set(lines[0])
    assert len(lines) == 5


@pytest.mark.slow
def test_stock_lm_eval_asks_our_tasks_of_an_unedited_model(tmp_path: Path) -> None:
    _, command = blocks("console")
    record = {"prompt": "The capital of Kenya is", "subject": "Kenya", "target_new": "Rome", "ground_truth": "Nairobi"}
    (tmp_path / "counterfact.json").write_text(json.dumps([{**record, "case_id": 1}]))
    done = shell(command, tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").rglob("results_*.json")
    results = json.loads(path.read_text())
    assert results["n-samples"]["negation_pocket_pos"] == {"original": 808, "effective": 20}
    assert scores(results, "negation_pocket_pos")["exact"] == 0.0  # nobody has taught it the new answers
    assert scores(results, "negation_pocket_pos")["old_exact"] > 0.8
    assert {"negation_mcf", "negation_mcf_pos", "negation_mcf_neg"} <= set(results["results"])


@pytest.mark.parametrize(
    ("given", "error", "line"),
    [
        ({"method": "memitt"}, UnknownNameError, "did you mean 'memit'"),
        ({"data": "poket"}, UnknownNameError, "did you mean 'pocket'"),
        ({"method": "memit", "step": 3}, UnknownNameError, "unknown model argument 'step': did you mean 'steps'"),
        ({"pretraned": "gpt2"}, UnknownNameError, "did you mean 'pretrained'"),
        ({"edits": 0}, UsageError, "edits=0: data set 'pocket' has 808 facts to write; from 1 to 808"),
        ({"edits": "many"}, UsageError, "edits=many"),
        ({"schedule": "single"}, UsageError, "use all or batch:K"),
        ({"pretrained": "pockt"}, EditHarnessError, "did you mean 'pocket'"),
    ],
    ids=["method", "data", "option", "argument", "no edits", "no number", "schedule", "model"],
)
def test_a_wrong_model_argument_is_one_line(
    given: dict[str, Any], error: type[Exception], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(error) as caught:
        EditHarnessLM(**given)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_file_of_a_data_set_reaches_the_model_and_its_tasks(tmp_path: Path) -> None:
    from lm_eval.tasks import TaskManager

    record = {"prompt": "The capital of Kenya is", "subject": "Kenya", "ground_truth": "Nairobi"}
    names = ("Rome", "Oslo", "Lima", "Bern")
    records = [{**record, "case_id": i, "prompt": f"In {name}, the capital of Kenya is", "target_new": name}
               for i, name in enumerate(names)]  # fmt: skip
    (tmp_path / "cf.json").write_text(json.dumps(records))
    save_tiny("llama", tmp_path / "model")
    given = {"pretrained": str(tmp_path / "model"), "method": "ft-m", "steps": 1, "data": "mcf", "edits": 2, "seed": 1,
             "mcf": str(tmp_path / "cf.json")}  # fmt: skip
    lm = EditHarnessLM(**given)
    assert lm.editing["statuses"] == {"done": 2}
    with quiet():
        folder = Path(editharness_tasks.__file__).parent / "negation"
        tasks = TaskManager(include_defaults=False, include_path=str(folder), metadata=given)
        (task,) = tasks.load(["negation_mcf_pos"])["tasks"].values()
        (other,) = tasks.load(["negation_pocket_pos"])["tasks"].values()
    written = [status.edit_id for status in lm.written.arm.statuses]
    assert [doc["case_id"] for doc in task.test_docs()] == written
    assert len(other.test_docs()) == 808  # another data set is asked about as a whole


def test_help_is_lm_evals_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lm-eval", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: lm-eval")


def test_the_entry_point_for_the_next_lm_eval_names_the_class() -> None:
    with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
        (ref,) = tomllib.load(file)["project"]["entry-points"]["lm_eval.models"].values()
    module, _, name = ref.partition(":")
    assert getattr(importlib.import_module(module), name) is EditHarnessLM


def test_it_takes_what_lm_eval_hands_over_and_refuses_its_cache() -> None:
    handed = {"batch_size": "auto:4", "max_batch_size": 64, "device": "cuda:0"}
    lm = EditHarnessLM.create_from_arg_string("pretrained=pocket,method=ft-m,steps=2,edits=2,seed=3", handed)
    assert lm.batch_size == 64
    assert lm.get_model_info()["editing"]["options"]["steps"] == "2"
    with pytest.raises(UsageError, match="use_cache cannot be used with edited models"):
        lm.set_cache_hook(None)
