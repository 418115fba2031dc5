"""A run's folder with a valid record over pocket's own facts and answers that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from editharness.data.load import load_cases
from editharness.registry import load_plugins
from editharness.store import DataFacts, RunFolder
from editharness.testing.records import example_record
from editharness.types import Case

Answer = Callable[[int, Case], str | None]

SAID: Mapping[str, Answer] = {
    "": lambda n, case: f" {case.old}",
    "rome": lambda n, case: f" {case.target}." if n % 4 else f" not {case.target}",
    "target": lambda n, case: case.target,
}


def sample(row: str, task: str, case: Case, text: str | None, **changes: Any) -> dict[str, Any]:
    """One line of samples.jsonl.gz."""
    moment, arm = ("final", "positive") if row else ("unedited", "")
    line = {"row": row, "task": task, "arm": arm, "moment": moment, "case": case.id, "item": 0}
    return {**line, "scores": {"exact": 0.5}, "text": text, **changes}


def pocket_cases(count: int = 12) -> tuple[tuple[Case, ...], str]:
    """The first test cases of pocket and the file's sha256."""
    found = load_cases(load_plugins(), "pocket")
    return tuple(case for case in found.cases if case.split == "test")[:count], found.sha256


def store_run(
    root: Path, method: str = "rome", *, said: Mapping[str, Answer] = SAID, sha256: str = "", **changes: Any
) -> Path:
    """Write a run with answers to plain, negated and paraphrased questions; returns its folder."""
    cases, digest = pocket_cases()
    lines = [
        sample(row, task, case, say(n, case), item=item)
        for row, say in said.items()
        for task, items in (("negation_pocket_pos", 1), ("negation_pocket_neg", 1), ("paraphrase_pocket", 2))
        for n, case in enumerate(cases)
        for item in range(items)
    ]
    data = DataFacts("pocket", sha256 or digest, len(cases), len(cases))
    record = example_record(method, data=data, **changes)
    return RunFolder(root, record.id).write(record, samples=lines).parent
