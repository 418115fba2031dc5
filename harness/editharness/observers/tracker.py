"""Runs in MLflow: `editharness eval ... --track URI`, a folder or a server; needs `pip install 'editharness[track]'`.

One MLflow run per record, in the experiment of the task: the configuration as parameters, every column of the method's
row as a metric (with its interval as NAME_low and NAME_high), the record's path as a tag.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from editharness.errors import UsageError
from editharness.hooks import hookimpl
from editharness.store import RunRecord, read_record


class Tracker:
    """Logs finished runs; raises UsageError where mlflow is not installed."""

    def __init__(self, uri: str) -> None:
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise UsageError("--track needs mlflow: pip install 'editharness[track]'") from None
        place = uri if "://" in uri else f"sqlite:///{_database(Path(uri))}"
        self.client: Any = MlflowClient(tracking_uri=place)

    @hookimpl
    def run_finished(self, run: Path) -> None:
        """The record is there."""
        record = read_record(run)
        made = self.client.create_run(self._experiment(record.task), run_name=record.id, tags={"record": str(run)})
        for name, value in record.config.resolved.items():
            self.client.log_param(made.info.run_id, name, value)
        for name, metric in _metrics(record).items():
            self.client.log_metric(made.info.run_id, name, metric)
        self.client.set_terminated(made.info.run_id)

    def _experiment(self, task: str) -> str:
        found = self.client.get_experiment_by_name(task)
        return str(found.experiment_id if found is not None else self.client.create_experiment(task))


def _database(folder: Path) -> Path:
    """MLflow keeps nothing new in plain files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--track {folder}: cannot be written ({error.strerror})") from None
    return folder.absolute() / "mlflow.db"


def _metrics(record: RunRecord) -> dict[str, float]:
    """Name -> value of the method's row, in names that MLflow takes; a column without a case has none."""
    found: dict[str, float] = {}
    for row in record.rows:
        if row.kind == "method":
            for column in row.columns:
                name = re.sub(r"[^\w\-./ ]", "_", column.name)
                parts = {name: column.value, f"{name}_low": column.low, f"{name}_high": column.high}
                found |= {key: value for key, value in parts.items() if value is not None}
    return found
