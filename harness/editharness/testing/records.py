"""Records with made-up answers, for tests of whatever reads records. Their numbers say nothing about any method."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from editharness.protocol import Column, Point, Series
from editharness.stats import summarise_column, summarise_series
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
    series_lines,
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
    series: Sequence[Series] = (),
    **changes: Any,
) -> RunRecord:
    """A whole record; `rows` maps "method" and controls to columns and clusters, `changes` replace its fields.

    `series` are those of the row "method".
    """
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
        "rows": tuple(
            _row(name, *columns, series if name == "method" else ()) for name, columns in (rows or {}).items()
        ),
        "cost": Cost(61.5, 1.23, {"load": 1.0, "edit": 50.5, "ask": 10.0}, None),
        "versions": {"python": "3.11.9", "torch": "2.6.0", "editharness": "0.1.0"},
    }
    return RunRecord(**{**values, **changes})


def write_example(
    root: Path,
    record: RunRecord,
    rows: Mapping[str, tuple[Sequence[Column], Mapping[str, str]]],
    series: Sequence[Series] = (),
) -> Path:
    """Write the record with its scores by case below `root`, as a run does; returns the path of record.json."""
    clusters = {case: subject for _, named in rows.values() for case, subject in named.items()}
    lines = {row: {c.name: (c.values, c.proportion) for c in columns} for row, (columns, _) in rows.items()}
    scores = [*score_lines(lines, clusters), *series_lines({"method": series})]
    return RunFolder(root, record.id).write(record, scores=scores)


def _row(name: str, columns: Sequence[Column], clusters: Mapping[str, str], series: Sequence[Series] = ()) -> RowScores:
    kind: Any = "method" if name == "method" else "control"
    summarised = tuple(summarise_series(one, clusters) for one in series)
    return RowScores(name, kind, tuple(summarise_column(column, clusters) for column in columns), summarised)


def example_series(*, decay: float = 0.2, cases: int = 30) -> tuple[Series, ...]:
    """A line, a matrix and a loss: of each cohort, `decay` is lost from checkpoint to checkpoint."""
    size = cases // 3
    ids = [f"case-{i}" for i in range(cases)]

    def kept(cohort: int, checkpoint: int) -> dict[str, float]:
        lost = round(decay * size * (checkpoint - cohort))
        return {case: float(place >= lost) for place, case in enumerate(ids[cohort * size : (cohort + 1) * size])}

    ends = [size * (i + 1) for i in range(3)]
    cells = [(i, cohort) for i in range(3) for cohort in range(i + 1)]
    matrix = [Point(ends[i], (cohort * size + 1, ends[cohort]), kept(cohort, i)) for i, cohort in cells]
    line = [Point(end, None, {c: v for p in matrix if p.edits == end for c, v in p.values.items()}) for end in ends]
    losses = [Point(end, None, {"text 1": 2.0 + i, "text 2": 3.0 + i}) for i, end in enumerate([0, *ends])]
    return (
        Series("efficacy", "target exact", "higher", line),
        Series("retention", "target exact, by when it was written", "higher", matrix),
        Series("text loss", "loss on two texts", "lower", losses, proportion=False, unit="nats"),
    )
