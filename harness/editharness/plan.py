"""From probes to documents: which question about which case is asked at which place in the timeline."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from editharness.documents import UNEDITED, Document, Render, case_documents, wanted
from editharness.errors import PluginError, UsageError
from editharness.forms import find_form
from editharness.protocol import Moment, Probe
from editharness.types import Case, Schedule, StateId

COHORTS, COHORT_SIZE = 10, 50
"""A retention matrix has at most so many cohorts, of so many cases each."""


@dataclass(frozen=True)
class ArmLayout:
    """Where an arm's edits stand: the step that holds each case, and whether steps build on each other.

    `viewed` names, by step, the place that stands for a carried step at the end or at a checkpoint, where a method
    shows another model there than it carries on. `stopped`: after so many facts the arm was written no further, and
    its later checkpoints are not asked.
    """

    arm: str
    step_of: Mapping[str, int]
    carry: bool
    viewed: Mapping[int, StateId] = field(default_factory=dict)
    stopped: int | None = None

    @cached_property
    def written(self) -> Mapping[int, int]:
        """Step -> how many facts are written after it: its own, and all before where steps build on each other."""
        sizes, total, found = Counter(self.step_of.values()), 0, {}
        for step in sorted(sizes):
            total = total + sizes[step] if self.carry else sizes[step]
            found[step] = total
        return found

    def step(self, case: str, moment: Moment) -> int:
        """The step after which `case` is asked at `moment` (for a checkpoint see `checkpoint`)."""
        return max(self.written) if self.carry and moment == "final" else self.step_of[case]

    def checkpoint(self, edits: int) -> int:
        """The step after which `edits` facts are written; raises UsageError where none ends there."""
        steps = [step for step, written in self.written.items() if written == edits]
        if not steps:
            _check_end(edits, sorted(self.written.values()))
        return steps[0]

    def reached(self, edits: int) -> int:
        """How many of the first `edits` facts were really written."""
        return edits if self.stopped is None else min(edits, self.stopped)

    def place(self, step: int, moment: Moment) -> StateId:
        """The place in the timeline where the model after `step` stands, as it is asked at `moment`."""
        if not self.carry:
            return (self.arm, step, "alone")
        carried = (self.arm, step, "carried")
        return carried if moment == "at_edit" else self.viewed.get(step, carried)

    def state(self, case: str, moment: Moment) -> StateId:
        """The place where `case` is asked at `moment`."""
        return UNEDITED if moment == "unedited" else self.place(self.step(case, moment), moment)


@dataclass(frozen=True)
class Asked:
    """All documents of a run per task. `keys`: task -> (data set, form); `templates`: task -> the protocol's name."""

    documents: Mapping[str, Sequence[Document]] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)

    def requests(self) -> int:
        """How many requests lm-eval will make of them: a likelihood per answer that is asked for, a continuation."""
        return sum(
            len(wanted(doc)) + find_form(doc["form"]).generates for docs in self.documents.values() for doc in docs
        )

    @property
    def chat(self) -> bool:
        """Whether some question is put through the model's chat template."""
        return any(doc["chat"] for docs in self.documents.values() for doc in docs)

    def of_row(self, row: str) -> dict[str, list[Document]]:
        """The documents of one row's arms."""
        mine = {task: [d for d in docs if d["_arm"].startswith(f"{row}/")] for task, docs in self.documents.items()}
        return {task: docs for task, docs in mine.items() if docs}


def batches(ids: Sequence[str], schedule: Schedule) -> list[list[str]]:
    """The edits of each step, in order."""
    size = schedule.size or max(1, len(ids))
    return [list(ids[i : i + size]) for i in range(0, len(ids), size)]


def batch_ends(edits: int, schedule: Schedule) -> Sequence[int]:
    """How many facts are written where each batch ends, for `edits` facts in all."""
    size = schedule.size or max(1, edits)
    full = range(size, edits + 1, size)
    return full if edits % size == 0 else [*full, edits]


def layout(arm: str, ids: Sequence[str], schedule: Schedule) -> ArmLayout:
    """Steps are counted from 1; step 0 is the unedited model."""
    steps = {case: number for number, batch in enumerate(batches(ids, schedule), start=1) for case in batch}
    return ArmLayout(arm, steps, schedule.carry)


@dataclass(frozen=True)
class Checkpoints:
    """Numbers of edits after which a carried arm is asked, and whom: a seeded sample of every cohort.

    A cohort is what was written between two checkpoints; beyond ten, neighbouring ones are taken together.
    """

    at: tuple[int, ...] = ()
    seed: int = 0

    def cohort(self, place: int) -> int | None:
        """The cohort (from 0) of the fact written at a place, counted from 1; none after the last checkpoint."""
        index = bisect_left(self.at, place)
        return index * min(COHORTS, len(self.at)) // len(self.at) if index < len(self.at) else None

    def spans(self) -> list[tuple[int, int]]:
        """The first and the last place of every cohort, in order."""
        found: dict[int, tuple[int, int]] = {}
        for start, end in zip([0, *self.at], self.at, strict=False):
            first, _ = found.get(cohort := self.cohort(end) or 0, (start + 1, end))
            found[cohort] = (first, end)
        return list(found.values())

    def cohorts(self, order: Sequence[str]) -> dict[str, int]:
        """Case -> its cohort, by its place in `order`; cases after the last checkpoint have none."""
        placed = ((case, self.cohort(place)) for place, case in enumerate(order, start=1))
        return {case: cohort for case, cohort in placed if cohort is not None}

    def sampled(self, order: Sequence[str]) -> frozenset[str]:
        """At most fifty cases of each cohort, drawn by the seed."""
        cohorts = self.cohorts(order)
        drawn: set[str] = set()
        for cohort in sorted(set(cohorts.values())):
            mine = [case for case in order if cohorts.get(case) == cohort]
            drawn.update(random.Random(f"{self.seed} {cohort}").sample(mine, min(COHORT_SIZE, len(mine))))
        return frozenset(drawn)


def find_checkpoints(
    at: Sequence[int], edits: int, effective: Schedule, seed: int, default: Callable[[Sequence[int]], Sequence[int]]
) -> Checkpoints:
    """When the carried arms are asked: `at`, or what `default` makes of the numbers of edits at which batches end.

    Raises UsageError for what this schedule cannot give.
    """
    ends = batch_ends(edits, effective)
    if not at:
        return Checkpoints(tuple(default(ends)) if effective.carry else (), seed)
    if not effective.carry:
        raise UsageError(f"--checkpoints: under {effective} no edit builds on another; use sequential, batch:K or all")
    if at[-1] > edits:
        raise UsageError(f"--checkpoints {at[-1]}: only {edits} facts are written (--edits)")
    for one in at:
        _check_end(one, ends)
    return Checkpoints(tuple(at), seed)


def plan_documents(
    probes: Iterable[Probe],
    data: str,
    cases: Sequence[Case],
    arms: Mapping[str, Mapping[str, ArmLayout]],
    forms: Mapping[str, str],
    *,
    checkpoints: Checkpoints | None = None,
    render: Render | None = None,
) -> Asked:
    """The documents of every probe. `arms`: row -> arm name -> layout; `forms`: task -> the form its YAML asks.

    A question is asked once per place: the last batch's "at_edit" is the "final" state, and unedited answers serve all.
    """
    moments: dict[tuple[str, str, str, StateId, int], list[Moment]] = {}
    templates: dict[str, str] = {}
    for probe in probes:
        task = probe.task.format(data=data)
        if task not in forms:
            raise PluginError(f"the protocol asks task {task!r}, which no installed plugin offers")
        templates[task] = probe.task
        for arm, place in _places(probe, arms):
            for case, state, edits in _asked_of(probe, place, cases, checkpoints or Checkpoints()):
                when = moments.setdefault((task, case, arm, state, edits), [])
                if probe.moment not in when:
                    when.append(probe.moment)
    by_id = {case.id: case for case in cases}
    found: dict[str, list[Document]] = {}
    for (task, case_id, arm, state, edits), when in moments.items():
        docs = case_documents(by_id[case_id], forms[task], state, arm, when, edits, render)
        found.setdefault(task, []).extend(docs)
    asked = {task: docs for task, docs in found.items() if docs}
    return Asked(asked, {task: (data, forms[task]) for task in asked}, templates)


def _asked_of(
    probe: Probe, arm: ArmLayout | None, cases: Sequence[Case], checkpoints: Checkpoints
) -> Iterator[tuple[str, StateId, int]]:
    """(case, place, facts written there) of everybody that a probe asks in one arm."""
    if arm is None:
        yield from ((case.id, UNEDITED, 0) for case in cases)
    elif probe.moment != "checkpoint":
        for case in cases:
            step = arm.step(case.id, probe.moment)
            yield case.id, arm.place(step, probe.moment), arm.reached(arm.written[step])
    elif arm.carry:  # an arm that does not carry on, such as the control `context`, has no checkpoints
        for before, edits in zip([0, *checkpoints.at], checkpoints.at, strict=False):
            if arm.reached(edits) < edits:
                return
            step = arm.checkpoint(edits)
            for case_id in _cohort(probe, arm, cases, checkpoints, arm.checkpoint(before) if before else 0, step):
                yield case_id, arm.place(step, "checkpoint"), edits


def _cohort(
    probe: Probe, arm: ArmLayout, cases: Sequence[Case], checkpoints: Checkpoints, after: int, until: int
) -> Iterator[str]:
    """Whom a checkpoint asks, of the cases written by step `until`; `after`: the step of the checkpoint before."""
    sampled = checkpoints.sampled(list(arm.step_of)) if probe.cohort == "sampled" else frozenset()
    for case in cases:
        mine = arm.step_of[case.id]
        if mine <= until and {"all": True, "new": mine > after, "sampled": case.id in sampled}[probe.cohort]:
            yield case.id


def _places(probe: Probe, arms: Mapping[str, Mapping[str, ArmLayout]]) -> list[tuple[str, ArmLayout | None]]:
    if probe.moment == "unedited":
        return [("", None)]
    return [(f"{row}/{probe.arm}", layouts[probe.arm]) for row, layouts in arms.items()]


def _check_end(edits: int, ends: Sequence[int]) -> None:
    if edits not in ends:
        shown = [*ends] if len(ends) <= 6 else [*ends[:4], f"... {ends[-1]}"]
        raise UsageError(
            f"--checkpoints {edits}: no batch ends there; batches end at {', '.join(map(str, shown))} edits"
        )
