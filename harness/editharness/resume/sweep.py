"""Which runs of a command are done, so that the same command after an interruption makes the others only.

`<output>/.<digest>.sweep` stands while a command of several runs is being worked through, and goes when it is through.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from editharness.resume.whole import write_text


class Sweep:
    """The runs of one command, by their ids; a single run needs no list and keeps none."""

    def __init__(self, root: Path, run_ids: Sequence[str]) -> None:
        digest = hashlib.sha256("\n".join(run_ids).encode()).hexdigest()[:10]
        self.root = root
        self.path = root / f".{digest}.sweep" if len(run_ids) > 1 else None

    def record(self, run_id: str) -> Path | None:
        """The record that this command has made of a run before it was interrupted."""
        found = self._done().get(run_id)
        record = self.root / found if found else None
        return record if record is not None and record.is_file() else None

    def add(self, run_id: str, record: Path) -> None:
        """A run is done."""
        if self.path is not None:
            write_text(self.path, json.dumps({**self._done(), run_id: str(record.relative_to(self.root))}))

    def close(self) -> None:
        """The command is through, or is to begin anew."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _done(self) -> dict[str, str]:
        with suppress(OSError, ValueError):
            raw = json.loads(self.path.read_text(encoding="utf-8")) if self.path is not None else {}
            if isinstance(raw, dict):
                return {str(key): str(value) for key, value in raw.items()}
        return {}
