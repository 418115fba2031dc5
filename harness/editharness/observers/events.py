"""A log of events, one JSON object a line, for dashboards: `editharness eval ... --log-events FILE`.

    {"event": "run_started", "time": "2026-01-31T12:00:00Z", "method": "memit", "task": "wild_pocket", ...}
    {"event": "edits_applied", "time": ..., "row": "memit", "done": 50, "failed": 0, "skipped": 0}
    {"event": "run_finished", "time": ..., "record": "runs/memit-0123456789/record.json", "scores": {"memit": {...}}}

Lines are appended and flushed one by one; scores are shares, and null where a column has no case.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from editharness.config import RunConfig
from editharness.errors import UsageError
from editharness.hooks import hookimpl
from editharness.store import read_record
from editharness.types import Step


class EventLog:
    """Appends to a file; raises UsageError where it cannot be written, before the run begins."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.open("a", encoding="utf-8").close()
        except OSError as error:
            raise UsageError(f"--log-events {file}: cannot be written ({error.strerror})") from None

    @hookimpl
    def run_started(self, run: RunConfig) -> None:
        """What is about to run."""
        self._write("run_started", method=run.method, task=run.task, model=run.model, edits=run.edits,
                    schedule=str(run.schedule), seed=run.seed)  # fmt: skip

    @hookimpl
    def edits_applied(self, run: str, step: Step) -> None:
        """A batch was written into an arm of the row `run`."""
        counts = Counter(status.outcome for status in step.statuses)
        self._write("edits_applied", row=run, **{name: counts[name] for name in ("done", "failed", "skipped")})

    @hookimpl
    def run_finished(self, run: Path) -> None:
        """The record is there; its scores by row and column."""
        scores = {row.row: {column.name: column.value for column in row.columns} for row in read_record(run).rows}
        self._write("run_finished", record=str(run), scores=scores)

    def _write(self, event: str, **facts: Any) -> None:
        line = json.dumps({"event": event, "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **facts})
        with self.file.open("a", encoding="utf-8") as out:
            out.write(line + "\n")
