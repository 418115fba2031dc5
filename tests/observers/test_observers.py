"""What is logged while a run is made: events as JSON lines, and the run in MLflow's local folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editharness.cli import main

EVAL = ["eval", "--method", "memit", "--task", "synthetic_pocket", "--edits", "4", "--schedule", "batch:2"]


@pytest.mark.slow
def test_every_line_of_the_log_is_one_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "logs" / "events.jsonl"
    assert main([*EVAL, "--output", str(tmp_path / "runs"), "--log-events", str(log)]) == 0
    events: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    assert [e["event"] for e in events] == ["run_started", *["edits_applied"] * (len(events) - 2), "run_finished"]
    assert (events[0]["method"], events[0]["task"], events[0]["schedule"]) == ("memit", "synthetic_pocket", "batch:2")
    assert sum(e["done"] for e in events if e.get("row") == "memit") == 4
    record = json.loads(Path(events[-1]["record"]).read_text())
    (row,) = (row for row in record["rows"] if row["row"] == "memit")
    assert events[-1]["scores"]["memit"] == {c["name"]: c["value"] for c in row["columns"]}


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*EVAL, "--output", str(tmp_path / "runs"), "--log-events", str(tmp_path)]) == 2
    assert f"--log-events {tmp_path}: cannot be written (Is a directory)" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_tracking_without_mlflow_says_what_to_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        import mlflow  # noqa: F401
    except ImportError:
        assert main([*EVAL, "--output", str(tmp_path / "runs"), "--track", str(tmp_path / "mlruns")]) == 2
        assert "pip install 'editharness[track]'" in capsys.readouterr().err
    else:
        pytest.skip("mlflow is installed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_stands_in_mlflows_folder_with_its_scores(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra track is not installed")
    store = tmp_path / "mlruns"
    assert main([*EVAL, "--output", str(tmp_path / "runs"), "--track", str(store)]) == 0
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("synthetic_pocket")
    (run,) = client.search_runs([experiment.experiment_id])
    record = json.loads(Path(run.data.tags["record"]).read_text())
    (row,) = (row for row in record["rows"] if row["row"] == "memit")
    wanted = {c["name"]: c["value"] for c in row["columns"] if c["value"] is not None}
    assert {name: run.data.metrics[name] for name in wanted} == pytest.approx(wanted)
    assert run.data.params["method"] == "memit"
    assert run.info.status == "FINISHED"
