"""One arm: a method writes its edits, batch by batch, into a timeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from editharness.errors import EditError, EditHarnessError, PluginError
from editharness.health import Gauge, Reading, Watch
from editharness.host import LocalHost
from editharness.method import Method
from editharness.patch import Patch, join
from editharness.plan import ArmLayout, batches, layout
from editharness.resume.steps import ArmSteps, Made
from editharness.timeline import Timeline
from editharness.types import Edit, MethodSpec, Schedule, State, StateId, Status, Step

Applied = Callable[[Step], None]
AT_ONCE = 100
"""Edits of `single` that a method may search in one batch: what a kill can cost, and what memory must hold."""


@dataclass(frozen=True)
class Arm:
    """An arm as written: where each edit stands, what became of it, and the seconds that editing took.

    `readings`: the model's health while it was written; `collapsed`: after how many edits it was first seen gone.
    """

    name: str
    layout: ArmLayout
    statuses: tuple[Status, ...]
    seconds: float
    readings: tuple[Reading, ...] = ()
    collapsed: int | None = None


def write_arm(
    name: str, spec: MethodSpec, method: Method[Any], edits: Sequence[Edit], schedule: Schedule,
    host: LocalHost, timeline: Timeline, applied: Applied = lambda step: None, state: State | None = None,
    checkpoints: Collection[int] = (), gauge: Gauge | None = None, kept: ArmSteps | None = None,
) -> Arm:  # fmt: skip
    """Run `method` over `edits` under `schedule` (already limited to the method's batch) and journal every step.

    `state` is what the method prepared; `checkpoints` are the numbers of edits after which the
    model will be asked; `gauge` measures its health, and may end the arm, whose remaining edits are then skipped.
    `kept` has the steps that were made before an interruption, and keeps the new ones.
    A plugin that raises anything but an error of ours stops the run with its name; one failed edit does not.
    """
    place = layout(name, [edit.id for edit in edits], schedule)
    statuses: list[Status] = []
    seconds = 0.0
    host.reseed(name)
    kept = kept or ArmSteps(name)
    viewed = _View(name, method, host, timeline, place, checkpoints)
    watch = Watch(gauge, timeline, place, viewed.asked, kept.keeper)
    for made in _made(name, spec, method, edits, schedule, host, timeline, state or {}, kept):
        step, seconds = made.step, seconds + made.seconds
        viewed.add(step.patch)
        statuses += step.statuses
        applied(step)
        host.progress(len(step.statuses), len(edits), name)
        if watch.stops(viewed.step, replace(place, viewed=viewed.places).place(viewed.step, "checkpoint")):
            place = replace(place, stopped=watch.collapsed)
            break
    for skipped in _skipped(edits[len(statuses) :] if place.stopped else (), schedule, place.stopped):
        viewed.add(None)
        statuses += skipped
        applied(Step(None, {}, skipped))
        host.progress(len(skipped), len(edits), name)
    _check(spec, edits, statuses)
    written = replace(place, viewed=viewed.places)
    return Arm(name, written, tuple(statuses), seconds, tuple(watch.readings), watch.collapsed)


def _skipped(edits: Sequence[Edit], schedule: Schedule, after: int | None) -> Iterator[tuple[Status, ...]]:
    """The statuses of the steps that are left of an arm that ends early."""
    for batch in _grouped(edits, schedule):
        yield tuple(Status(edit.id, "skipped", f"the model had collapsed after {after} edits") for edit in batch)


class _View:
    """Journals an arm's steps, and beside them what the method wants evaluated in their place (`Method.view`).

    `places` names the latter, for carried steps: the last one and those of checkpoints.
    """

    def __init__(
        self, name: str, method: Method[Any], host: LocalHost, timeline: Timeline, layout: ArmLayout,
        checkpoints: Collection[int],
    ) -> None:  # fmt: skip
        self.name, self.method, self.host, self.timeline, self.layout = name, method, host, timeline, layout
        self.asked = {step for step, written in layout.written.items() if written in checkpoints}
        self.asked |= {max(layout.written, default=0)}
        self.used = type(method).view is not Method.view
        self.total: Patch | None = None
        self.step = 0
        self.places: dict[int, StateId] = {}

    def add(self, patch: Patch | None) -> None:
        """Take up the next step: what is carried as it is, what stands alone as it is viewed."""
        self.step += 1
        if self.used and patch is not None:
            if self.layout.carry:
                self.total = patch if self.total is None else join(self.total, patch)
            else:
                patch = self.method.view(self.host, patch)
        self.timeline.add(self.name, patch, kind="carried" if self.layout.carry else "alone")
        if self.total is not None and self.step in self.asked:
            shown = self.method.view(self.host, self.total)
            self.places[self.step] = self.timeline.add(f"{self.name}, viewed", shown, kind="alone")


def _made(
    name: str, spec: MethodSpec, method: Method[Any], edits: Sequence[Edit], schedule: Schedule, host: LocalHost,
    timeline: Timeline, state: State, kept: ArmSteps,
) -> Iterator[Made]:  # fmt: skip
    """The arm's steps, first those that were kept, each leaving the generator as it was after the step was made."""
    groups, together = _grouped(edits, schedule), _together(method, schedule)
    done = kept.done([[edit.id for edit in group] for group in groups], carry=schedule.carry, together=together)
    for number in range(1, done + 1):
        made = kept.step(number)
        assert made.rng is not None
        host.rng.set_state(made.rng)
        state = made.step.state if schedule.carry else state
        yield made
    if schedule.carry:
        steps = _carried(name, method, groups, done, host, timeline, state, kept)
    else:
        steps = _alone(method, groups[done:], schedule, together, host, timeline, state)
    for number in range(done + 1, len(groups) + 2):
        start = time.perf_counter()
        step = _next(steps, spec)
        if step is None:
            return
        made = Made(kept.settled(step), time.perf_counter() - start)
        kept.add(number, made, host.rng, carry=schedule.carry)
        yield made


def _carried(
    name: str, method: Method[Any], groups: Sequence[Sequence[Edit]], done: int, host: LocalHost, timeline: Timeline,
    state: State, kept: ArmSteps,
) -> Iterator[Step]:  # fmt: skip
    for number, group in enumerate(groups[done:], start=done):
        with timeline.at((name, number, "carried")):
            step = kept.settled(_edit(method, host, group, state))
        state = step.state
        yield step


def _alone(
    method: Method[Any], groups: Sequence[Sequence[Edit]], schedule: Schedule, together: int, host: LocalHost,
    timeline: Timeline, state: State,
) -> Iterator[Step]:  # fmt: skip
    with timeline.at(("", 0, "carried")):
        if schedule.size == 1:
            singles = [group[0] for group in groups]
            for start in range(0, len(singles), together):
                yield from method.edit_each(host, singles[start : start + together], state)
        else:
            for group in groups:
                yield _edit(method, host, group, state)


def _together(method: Method[Any], schedule: Schedule) -> int:
    """How many edits of `single` are handed over at once: a method that searches values in one batch gets many."""
    batched = type(method).edit_each is not Method.edit_each
    return AT_ONCE if batched and schedule.size == 1 and not schedule.carry else 1


def _edit(method: Method[Any], host: LocalHost, batch: Sequence[Edit], state: State) -> Step:
    try:
        return method.edit(host, batch, state)
    except EditError as error:
        return Step(None, state, tuple(Status(edit.id, "failed", str(error)) for edit in batch))


def _grouped(edits: Sequence[Edit], schedule: Schedule) -> list[list[Edit]]:
    by_id = {edit.id: edit for edit in edits}
    return [[by_id[i] for i in batch] for batch in batches(list(by_id), schedule)]


def _next(steps: Iterator[Step], spec: MethodSpec) -> Step | None:
    try:
        return next(steps, None)
    except EditHarnessError:
        raise
    except Exception as error:
        raise PluginError(f"method {spec.name!r} ({spec.ref}) raised {type(error).__name__}: {error}") from error


def _check(spec: MethodSpec, edits: Sequence[Edit], statuses: Sequence[Status]) -> None:
    if [s.edit_id for s in statuses] != [e.id for e in edits]:
        raise PluginError(f"method {spec.name!r} must return one status per edit, in order")
