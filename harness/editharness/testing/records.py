"""Records with made-up answers, for tests of whatever reads records. Their numbers say nothing about any method."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from editharness.protocol import Column
from editharness.stats import summarise_column
from editharness.store import (
    Config,
    Cost,
    DataFacts,
    MethodFacts,
    ModelFacts,
    Outcomes,
    Preset,
    ProtocolFacts,
    RowScores,
    RunFolder,
    RunRecord,
    ScheduleFacts,
    run_id,
    score_lines,
)

DIFFERENCES = {"PP-PN": ("PP", "PN"), "PP-NP": ("PP", "NP"), "NN-PN": ("NN", "PN"), "NN-NP": ("NN", "NP")}
CLUSTERED = 2
"""Cases per subject."""


def example_columns(
    shares: Mapping[str, float], *, cases: int = 50, seed: int = 0
) -> tuple[tuple[Column, ...], dict[str, str]]:
    """Columns of the negation protocol with answers drawn so that about `shares` of them are right, and the clusters.

    A share that is not given makes a column without cases; differences need both of their columns.
    """
    rng = random.Random(seed)
    ids = [f"case-{i}" for i in range(cases)]
    drawn = {name: {case: float(rng.random() < share) for case in ids} for name, share in shares.items()}
    first = [Column(name, f"asked {name}", _better(name), drawn.get(name, {})) for name in ("PP", "PN", "NN", "NP")]
    between = {
        name: {case: drawn[a][case] - drawn[b][case] for case in ids} if a in drawn and b in drawn else {}
        for name, (a, b) in DIFFERENCES.items()
    }
    there = [values for values in between.values() if values]
    mean = {case: sum(values[case] for values in there) / len(there) for case in ids} if there else {}
    last = ("prob", "contained", "generalization", "unchanged", "correct")
    columns = [
        *first,
        *(Column(name, f"{name[:2]} minus {name[3:]}", "higher", v, proportion=False) for name, v in between.items()),
        Column("rectified", "mean of the differences", "higher", mean, proportion=False),
        *(Column(name, name, _better(name), drawn.get(name, {})) for name in last),
    ]
    return tuple(columns), {case: f"subject-{i // CLUSTERED}" for i, case in enumerate(ids)}


def _better(name: str) -> Any:
    return "lower" if name in ("PN", "NP", "contained") else "higher"


def example_record(
    method: str = "rome",
    rows: Mapping[str, tuple[Sequence[Column], Mapping[str, str]]] | None = None,
    *,
    seed: int = 0,
    preset: str = "paper",
    edits: int = 50,
    **changes: Any,
) -> RunRecord:
    """A whole record; `rows` maps "method" and controls to columns and clusters, `changes` replace its fields."""
    passed = {"method": method, "task": "negation_pocket", "model": "pocket", "seed": seed, "edits": edits}
    resolved = {**passed, "schedule": "single", "dtype": "float32", "preset": preset}
    values: dict[str, Any] = {
        "id": run_id(method, resolved),
        "created": f"2026-01-31T12:00:{seed % 60:02}Z",
        "config": Config(passed, resolved),
        "command": f"editharness eval --method {method} --task negation_pocket --model pocket --seed {seed}",
        "method": MethodFacts(
            name=method,
            title=method.upper(),
            paper="An example, 2026",
            distribution="editharness",
            version="0.1.0",
            sees=(),
            options={"layers": [5], "learning_rate": 0.5},
            preset=Preset(name=preset, source="an example", tuned=True),
        ),
        "protocol": ProtocolFacts("negation", 1, "b" * 64, "rectified"),
        "task": "negation_pocket",
        "data": DataFacts(
            "pocket", "d" * 64, 60, 50, selection={"table": 50}, refused={"no negation could be made": 10}
        ),
        "model": ModelFacts("pocket", None, "LlamaForCausalLM", 3_000_000, "float32", "cpu", "e" * 64, "e" * 64),
        "schedule": ScheduleFacts("single", "single", edits, seed),
        "statuses": Outcomes(done=edits, skipped=0, failed=0),
        "rows": tuple(_row(name, *columns) for name, columns in (rows or {}).items()),
        "cost": Cost(61.5, 1.23, {"load": 1.0, "edit": 50.5, "ask": 10.0}, None),
        "versions": {"python": "3.11.9", "torch": "2.6.0", "editharness": "0.1.0"},
    }
    return RunRecord(**{**values, **changes})


def write_example(
    root: Path, record: RunRecord, rows: Mapping[str, tuple[Sequence[Column], Mapping[str, str]]]
) -> Path:
    """Write the record with its scores by case below `root`, as a run does; returns the path of record.json."""
    clusters = {case: subject for _, named in rows.values() for case, subject in named.items()}
    lines = {row: {c.name: (c.values, c.proportion) for c in columns} for row, (columns, _) in rows.items()}
    return RunFolder(root, record.id).write(record, scores=score_lines(lines, clusters))


def _row(name: str, columns: Sequence[Column], clusters: Mapping[str, str]) -> RowScores:
    kind: Any = "method" if name == "method" else "control"
    return RowScores(name, kind, tuple(summarise_column(column, clusters) for column in columns))
