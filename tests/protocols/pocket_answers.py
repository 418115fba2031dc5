"""Real answers of the packaged model, for the tests of protocols: asked of it as it is, or in whole runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from editharness.asking import ask, task_forms
from editharness.config import RunConfig
from editharness.models.load import LoadedModel, load_model
from editharness.plan import plan_documents
from editharness.protocol import Answer, Column, Probe
from editharness.registry import Registry, load_plugins
from editharness.runner import Outcome, run
from editharness.timeline import Timeline
from editharness.types import Case, Schedule
from editharness_plugins.datasets import pocket as reader
from editharness_plugins.pocket.relations import HERE


class Silent:
    """Hears how far a run is and says nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        pass

    def advance(self, done: int = 1) -> None:
        pass


@cache
def registry() -> Registry:
    return load_plugins()


@cache
def pocket() -> LoadedModel:
    return load_model("pocket", packaged={"pocket": registry().model("pocket").folder}, device="cpu", offline=True)


@cache
def first_cases(count: int) -> tuple[Case, ...]:
    return tuple(case for case in reader.load(HERE / "pocket.jsonl").cases if case.split == "test")[:count]


def unedited(tasks: Sequence[str], cases: Sequence[Case], *, batch_size: int = 32, side: str = "left") -> list[Answer]:
    """Pocket's own answers to the tasks about the cases, in the order of the plan."""
    loaded = pocket()
    before, loaded.tokenizer.padding_side = loaded.tokenizer.padding_side, side
    asked = plan_documents([Probe(task, "", "unedited") for task in tasks], "pocket", cases, {}, task_forms(registry()))
    timeline = Timeline(loaded.model, digest=loaded.digest)
    try:
        found = ask(asked, registry(), timeline, loaded, batch_size, lambda done: None)
    finally:
        loaded.tokenizer.padding_side = before
    return sorted(found, key=lambda a: (a.task, a.case, a.item))


@cache
def outcome(task: str, method: str = "none", edits: int = 12) -> Outcome:
    """A whole run on pocket, one edit at a time."""
    config = RunConfig(method=method, task=task, edits=edits, schedule=Schedule.parse("single"))
    return run(config, registry(), Silent())


def means(columns: Sequence[Column]) -> dict[str, float]:
    """Each column's mean, of those that have values."""
    return {c.name: sum(c.values.values()) / len(c.values) for c in columns if c.values}
