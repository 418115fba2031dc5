"""A submission that a test may tamper with: the smallest committed record, its parts as values, written back anew."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from editharness.registry import load_plugins
from editharness.store import run_id
from editharness.verifying import Here, verify_run

RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"
FILES = ("edits.jsonl", "samples.jsonl.gz", "scores.jsonl")


@cache
def here() -> Here:
    """Plugins and data, read once for all tests."""
    return Here(load_plugins(), offline=True)


@cache
def committed(task: str = "modules_pocket", schedule: str = "single") -> Path:
    """The smallest committed record of a task under a schedule."""
    records = sorted((RESULTS / task).glob("*/record.json"), key=lambda path: (path.stat().st_size, path))
    return next(p for p in records if json.loads(p.read_text())["schedule"]["asked"] == schedule).parent


class Submission:
    """A copy of a committed record below `root`."""

    def __init__(self, root: Path, source: Path | None = None) -> None:
        source = source or committed()
        self.folder = root / source.name
        shutil.copytree(source, self.folder)
        self.record: dict[str, Any] = json.loads((self.folder / "record.json").read_text())

    @property
    def path(self) -> Path:
        """The record's own file."""
        return self.folder / "record.json"

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of a file as values."""
        data = (self.folder / name).read_bytes()
        data = gzip.decompress(data) if name.endswith(".gz") else data
        return [json.loads(line) for line in data.splitlines()]

    def change(self, name: str, edit: Callable[[list[dict[str, Any]]], Any]) -> None:
        """Let `edit` change the lines of a file in place (or return others), and keep the hash right."""
        lines = self.lines(name)
        made = edit(lines)
        self.put(
            name, "".join(json.dumps(line) + "\n" for line in (made if isinstance(made, list) else lines)).encode()
        )

    def put(self, name: str, data: bytes, *, packed: bool = True) -> None:
        """Put a file in place and name its hash, as a careful forger would."""
        data = gzip.compress(data, mtime=0) if name.endswith(".gz") and packed else data
        (self.folder / name).write_bytes(data)
        self.record["files"][name] = hashlib.sha256(data).hexdigest()

    def reconfigure(self, **changes: Any) -> None:
        """Change the configuration and give the record the id that goes with it."""
        self.record["config"]["resolved"].update(changes)
        self.record["id"] = run_id(self.record["method"]["name"], self.record["config"]["resolved"])

    def column(self, row: int = -1, column: int = 0) -> dict[str, Any]:
        """One cell of the record."""
        found: dict[str, Any] = self.record["rows"][row]["columns"][column]
        return found

    def write(self) -> Path:
        """Write the record; returns its path."""
        self.path.write_text(json.dumps(self.record), encoding="utf-8")
        return self.path

    def findings(self) -> list[str]:
        """What verification says of what stands on the disk."""
        return [str(finding) for finding in verify_run(self.path, here())]
