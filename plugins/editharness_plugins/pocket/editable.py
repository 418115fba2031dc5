"""Whether pocket can be edited: the share of edits that take, by the harness's own run, for its validity card."""

from __future__ import annotations

from editharness.config import RunConfig
from editharness.progress import Silent
from editharness.registry import load_plugins
from editharness.runner import run
from editharness.types import Schedule
from editharness_plugins.pocket.card import Row
from editharness_plugins.pocket.relations import HERE

EDITS = 100
CORPUS = HERE / "model" / "corpus.txt"
WANTED = (("c-rome", "single", 0.90), ("memit", "all", 0.80))


def measure_editable(model: str = "pocket") -> list[Row]:
    """C-ROME alone and MEMIT on 100 edits at once, pocket's presets and text, test split: all target tokens greedy."""
    registry, rows = load_plugins(), []
    for method, schedule, wanted in WANTED:
        config = RunConfig(
            method, "negation_pocket", model, edits=EDITS, schedule=Schedule.parse(schedule), corpus=CORPUS
        )
        columns = {column.name: column for column in run(config, registry, Silent()).columns[method]}
        taken = list(columns["PP"].values.values())
        share = sum(taken) / len(taken)
        rows.append(Row(f"{method}, {schedule}: edits that take", share, len(taken), f">= {wanted:g}", share >= wanted))
    return rows
