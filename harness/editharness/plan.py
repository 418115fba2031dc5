"""From probes to documents: which question about which case is asked at which place in the timeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from editharness.documents import UNEDITED, Document, case_documents
from editharness.errors import PluginError
from editharness.protocol import Moment, Probe
from editharness.types import Case, Schedule, StateId


@dataclass(frozen=True)
class ArmLayout:
    """Where an arm's edits stand: the step that holds each case, and whether steps build on each other.

    `final` is the place that the end of the arm is asked at, where a method shows another model there than it carries.
    """

    arm: str
    step_of: Mapping[str, int]
    carry: bool
    final: StateId | None = None

    def state(self, case: str, moment: Moment) -> StateId:
        """The place where `case` is asked at `moment`."""
        if moment == "unedited":
            return UNEDITED
        step = self.step_of[case]
        if not self.carry:
            return (self.arm, step, "alone")
        if moment != "at_edit" and self.final is not None:
            return self.final
        return (self.arm, step if moment == "at_edit" else max(self.step_of.values()), "carried")


@dataclass(frozen=True)
class Asked:
    """All documents of a run per task. `keys`: task -> (data set, form); `templates`: task -> the protocol's name."""

    documents: Mapping[str, Sequence[Document]] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)

    def requests(self) -> int:
        """How many requests lm-eval will make of them: a likelihood per known answer and a continuation."""
        return sum(3 if doc["old"] else 2 for docs in self.documents.values() for doc in docs)

    def of_row(self, row: str) -> dict[str, list[Document]]:
        """The documents of one row's arms."""
        mine = {task: [d for d in docs if d["_arm"].startswith(f"{row}/")] for task, docs in self.documents.items()}
        return {task: docs for task, docs in mine.items() if docs}


def batches(ids: Sequence[str], schedule: Schedule) -> list[list[str]]:
    """The edits of each step, in order."""
    size = schedule.size or max(1, len(ids))
    return [list(ids[i : i + size]) for i in range(0, len(ids), size)]


def layout(arm: str, ids: Sequence[str], schedule: Schedule) -> ArmLayout:
    """Steps are counted from 1; step 0 is the unedited model."""
    steps = {case: number for number, batch in enumerate(batches(ids, schedule), start=1) for case in batch}
    return ArmLayout(arm, steps, schedule.carry)


def plan_documents(
    probes: Iterable[Probe],
    data: str,
    cases: Sequence[Case],
    arms: Mapping[str, Mapping[str, ArmLayout]],
    forms: Mapping[str, str],
) -> Asked:
    """The documents of every probe. `arms`: row -> arm name -> layout; `forms`: task -> the form its YAML asks.

    A question is asked once per place: the last batch's "at_edit" is the "final" state, and unedited answers serve all.
    """
    moments: dict[tuple[str, str, str, StateId], list[Moment]] = {}
    templates: dict[str, str] = {}
    for probe in probes:
        task = probe.task.format(data=data)
        if task not in forms:
            raise PluginError(f"the protocol asks task {task!r}, which no installed plugin offers")
        templates[task] = probe.task
        for arm, place in _places(probe, arms):
            for case in cases:
                state = place.state(case.id, probe.moment) if place else UNEDITED
                moments.setdefault((task, case.id, arm, state), []).append(probe.moment)
    by_id = {case.id: case for case in cases}
    found: dict[str, list[Document]] = {}
    for (task, case_id, arm, state), when in moments.items():
        found.setdefault(task, []).extend(case_documents(by_id[case_id], forms[task], state, arm, when))
    asked = {task: docs for task, docs in found.items() if docs}
    return Asked(asked, {task: (data, forms[task]) for task in asked}, templates)


def _places(probe: Probe, arms: Mapping[str, Mapping[str, ArmLayout]]) -> list[tuple[str, ArmLayout | None]]:
    if probe.moment == "unedited":
        return [("", None)]
    return [(f"{row}/{probe.arm}", layouts[probe.arm]) for row, layouts in arms.items()]
