"""Verdicts kept on disk, by what was judged and who judged it: judging again costs nothing, and nothing twice.

One SQLite file (standard library), so that two processes may write at once and a crash leaves whole rows.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editharness.errors import JudgeError
from editharness.judge import LABELS, Item, Verdict

FILE = "verdicts.sqlite"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS decided (judge TEXT, item TEXT, label TEXT NOT NULL, reason TEXT NOT NULL, "
    "raw TEXT NOT NULL, score REAL, PRIMARY KEY (judge, item)) WITHOUT ROWID"
)
_PATIENCE = 60.0
"""Seconds to wait for another writer."""


def judge_key(ref: str, version: int, identity: Mapping[str, Any]) -> str:
    """sha256 over the judge's code reference, version and whatever its verdicts depend on."""
    text = json.dumps([ref, version, identity], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class VerdictCache:
    """The verdicts of one judge (`key`, see `judge_key`) in `folder`. Only what was decided is kept."""

    folder: Path
    key: str

    def get(self, items: Sequence[Item]) -> dict[str, Verdict]:
        """The verdicts there are, by the items' digests."""
        if not (self.folder / FILE).is_file():
            return {}
        with self._open() as database:
            rows = database.execute("SELECT item, label, reason, raw, score FROM decided WHERE judge = ?", (self.key,))
            wanted = {item.digest for item in items}
            return {
                item: Verdict(label, reason, raw, score)
                for item, label, reason, raw, score in rows
                if item in wanted and label in LABELS
            }

    def put(self, verdicts: Mapping[str, Verdict]) -> None:
        """Keep verdicts by digest; unscored ones are asked again next time, since a server may then be well."""
        decided = ((item, v) for item, v in verdicts.items() if v.label != "unscored")
        rows = [(self.key, item, v.label, v.reason, v.raw, v.score) for item, v in decided]
        with self._open() as database, database:
            database.executemany("INSERT OR REPLACE INTO decided VALUES (?, ?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        path = self.folder / FILE
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database:
                database.execute(_TABLE)
                yield database
        except (OSError, sqlite3.Error) as error:
            raise JudgeError(
                f"verdict cache {path} cannot be used ({error}): remove it, or set EDITHARNESS_CACHE to another folder"
            ) from error
