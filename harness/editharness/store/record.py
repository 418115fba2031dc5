"""The record of one run: everything another person needs to recompute or to doubt its numbers. Schema version 2.

`RunRecord` and its parts are frozen values; `to_json` gives the dictionary that is written (no absolute path, no
number that is not finite), `from_json` reads it, or one of an earlier version (`migrations`), and names the field that
is wrong. `record.schema.json` beside this file says the same for other programs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from editharness.errors import RecordError
from editharness.stats import ColumnScore, SeriesScore
from editharness.store.portable import portable
from editharness.types import Skipped

SCHEMA = 2
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

RowKind = Literal["method", "control"]


@dataclass(frozen=True)
class Config:
    """What was typed (`passed`) apart from all that was in force (`resolved`)."""

    passed: Mapping[str, Any]
    resolved: Mapping[str, Any]


@dataclass(frozen=True)
class Preset:
    """Where the options come from: name ("" if no preset was used), source, whether it was tuned for the model.

    `overridden` names the options that were typed and not taken from it.
    """

    name: str
    source: str
    tuned: bool
    overridden: tuple[str, ...] = ()


@dataclass(frozen=True)
class MethodFacts:
    """The method as it was run: who distributes it, what it sees, its options."""

    name: str
    title: str
    paper: str
    distribution: str
    version: str
    sees: tuple[str, ...]
    options: Mapping[str, Any]
    preset: Preset


@dataclass(frozen=True)
class ProtocolFacts:
    """Identity of the protocol; `ranked_by` names the column that orders a board ("": the board decides)."""

    name: str
    version: int
    hash: str
    ranked_by: str = ""


@dataclass(frozen=True)
class DataFacts:
    """The data file: its name and hash, cases read and used, records left out with their reason, counted quirks.

    `selection`: what the protocol counted of the cases it can use (how they were negated, ...); `refused`: by reason,
    how many it cannot use.
    """

    name: str
    sha256: str
    cases: int
    used: int
    skipped: tuple[Skipped, ...] = ()
    quirks: Mapping[str, int] = field(default_factory=dict)
    selection: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFacts:
    """The model; the digests are of all its weights before the first edit and after the last undo."""

    name: str
    revision: str | None
    architecture: str
    parameters: int
    dtype: str
    device: str
    digest_before: str
    digest_after: str


@dataclass(frozen=True)
class ScheduleFacts:
    """The schedule that was asked for, the one the method really got, the number of facts written, and the seed."""

    asked: str
    effective: str
    edits: int
    seed: int


@dataclass(frozen=True)
class Outcomes:
    """How many edits were done, skipped and failed, and how often each reason was given."""

    done: int
    skipped: int
    failed: int
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RowScores:
    """One row of the board: the method's or a control's, with its columns in the protocol's order.

    `series`: what was measured over the number of edits (records of earlier versions have none).
    """

    row: str
    kind: RowKind
    columns: tuple[ColumnScore, ...]
    series: tuple[SeriesScore, ...] = ()


@dataclass(frozen=True)
class Cost:
    """Wall-clock seconds (in all, per edit, by phase) and the peak of memory in bytes where it was measured."""

    seconds: float
    seconds_per_edit: float | None
    seconds_by_phase: Mapping[str, float] = field(default_factory=dict)
    peak_memory_bytes: int | None = None


@dataclass(frozen=True)
class TrainingFacts:
    """What a method trained on before it edited: cases, those left out because an edit has their subject, and seconds.

    `kept`: the result was on disk already; the seconds are those of the run that made it.
    """

    cases: int
    left_out: int
    seconds: float
    kept: bool


@dataclass(frozen=True)
class HealthFacts:
    """How far the edited model could still predict text: loss on `texts` texts, `uniform` being ln(vocabulary).

    `collapsed`: arm -> edits written when its loss first was that of a uniform guess, or not finite; arms that never
    got there are not named. `stopped`: whether such an arm was written no further (--stop-on-collapse).
    """

    texts: int
    uniform: float
    collapsed: Mapping[str, int] = field(default_factory=dict)
    stopped: bool = False


@dataclass(frozen=True)
class RunRecord:
    """One run: model x method and preset x protocol and data x schedule x edits x seed, and its answers in numbers.

    `created` is UTC ("2026-01-31T12:00:00Z"); `command` makes the run again; `partial` says that fewer cases were
    asked than edited; `files` holds the sha256 of the files beside it and is filled in by the writer.
    """

    id: str
    created: str
    config: Config
    command: str
    method: MethodFacts
    protocol: ProtocolFacts
    task: str
    data: DataFacts
    model: ModelFacts
    schedule: ScheduleFacts
    statuses: Outcomes
    rows: tuple[RowScores, ...]
    cost: Cost
    versions: Mapping[str, str]
    training: TrainingFacts | None = None
    health: HealthFacts | None = None
    partial: bool = False
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """What is written; RecordError for a number that is not finite or a value that JSON cannot hold."""
        raw = {"schema": self.schema, **portable(self)}
        RunRecord.from_json(raw)
        return raw

    @classmethod
    def from_json(cls, raw: object) -> RunRecord:
        """Read what `to_json` gave; RecordError names the field that is wrong."""
        from editharness.store.decode import decode

        return decode(raw)

    def row(self, name: str) -> RowScores | None:
        """The row of that name, if this run has it."""
        return next((row for row in self.rows if row.row == name), None)


def run_id(method: str, resolved: Mapping[str, Any]) -> str:
    """The folder name of a run: the method and 10 hex digits over everything that was in force."""
    text = json.dumps(portable(resolved), sort_keys=True)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", method).strip("-.") or "run"
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def check_id(text: str) -> str:
    """The id itself where it is safe as a folder name; RecordError otherwise."""
    if _ID.fullmatch(text) is None:
        raise RecordError(f"run id {text[:40]!r}: use letters, digits, '.', '_' and '-', at most 128")
    return text
