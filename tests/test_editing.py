"""One arm, batch by batch: journal, failures, and plugins that misbehave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from editharness.editing import write_arm
from editharness.errors import EditError, PluginError
from editharness.host import LocalHost
from editharness.method import Host, Method
from editharness.models.load import LoadedModel, weights_digest
from editharness.patch import Dense, Patch, WeightPatch
from editharness.patch.values import full
from editharness.testing.tiny import tiny
from editharness.timeline import Timeline
from editharness.types import Edit, MethodSpec, Schedule, State, StateId, Status, Step

SPEC = MethodSpec("push", "push", "", "tests:Push")
EDITS = [Edit(f"e{i}", "The capital of Kenya is", (15, 20), f"Rome{i}") for i in range(5)]


class Push(Method[str]):
    """Adds one to a weight per edit; misbehaves as its option says when it meets the third edit."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        if self.options and any(edit.id == "e2" for edit in edits):
            if self.options == "cannot":
                raise EditError("subject not found")
            if self.options == "bug":
                raise ZeroDivisionError("division by zero")
            return Step(None, state, ())
        name = host.modules.down_weight(0)
        delta = WeightPatch({name: Dense(len(edits) * host.original(name).new_ones(host.original(name).shape))})
        return Step(delta, state, tuple(Status(edit.id, "done") for edit in edits))


@pytest.fixture
def made() -> tuple[LocalHost, Timeline]:
    model, tokenizer = tiny("llama")
    loaded = LoadedModel(model, tokenizer, "tiny", None, "folder", weights_digest(model), 1, "Llama", Path())
    host = LocalHost(loaded, seed=0)
    return host, Timeline(model, host.masters, digest=loaded.digest)


def moved(host: LocalHost, timeline: Timeline, state: tuple[str, int, str]) -> float:
    name = host.modules.down_weight(0)
    with timeline.at(state):
        return float((host.masters.parameter(name) - host.original(name)).mean().round())


@pytest.mark.parametrize(("schedule", "at_end"), [("batch:2", 5.0), ("sequential", 5.0), ("all", 5.0)])
def test_carried_steps_add_up(made: tuple[LocalHost, Timeline], schedule: str, at_end: float) -> None:
    host, timeline = made
    arm = write_arm("m/x", SPEC, Push(""), EDITS, Schedule.parse(schedule), host, timeline)
    assert [status.edit_id for status in arm.statuses] == [edit.id for edit in EDITS]
    assert moved(host, timeline, ("m/x", max(arm.layout.step_of.values()), "carried")) == at_end
    timeline.close()


@pytest.mark.parametrize(("schedule", "each"), [("single", 1.0), ("fresh:5", 5.0)])
def test_fresh_steps_stand_alone(made: tuple[LocalHost, Timeline], schedule: str, each: float) -> None:
    host, timeline = made
    arm = write_arm("m/x", SPEC, Push(""), EDITS, Schedule.parse(schedule), host, timeline)
    assert {moved(host, timeline, ("m/x", step, "alone")) for step in arm.layout.step_of.values()} == {each}


@pytest.mark.parametrize("schedule", ["sequential", "single"])
def test_a_failed_edit_is_named_and_the_rest_goes_on(made: tuple[LocalHost, Timeline], schedule: str) -> None:
    host, timeline = made
    arm = write_arm("m/x", SPEC, Push("cannot"), EDITS, Schedule.parse(schedule), host, timeline)
    outcomes = {status.edit_id: (status.outcome, status.reason) for status in arm.statuses}
    assert outcomes["e2"] == ("failed", "subject not found")
    assert [o for o, _ in outcomes.values()].count("done") == 4
    timeline.close()


@pytest.mark.parametrize(("fault", "said"), [("bug", "'push'.*ZeroDivisionError"), ("silent", "one status per edit")])
def test_a_plugin_that_misbehaves_stops_the_run_by_name(
    made: tuple[LocalHost, Timeline], fault: str, said: str
) -> None:
    host, timeline = made
    with pytest.raises(PluginError, match=said):
        write_arm("m/x", SPEC, Push(fault), EDITS, Schedule.parse("sequential"), host, timeline)
    timeline.close()


class Halved(Push):
    """Shows half of what it carries."""

    def view(self, host: Host, total: Patch) -> Patch:
        assert isinstance(total, WeightPatch)
        return WeightPatch({name: Dense(full(d, host.original(name)) / 2) for name, d in total.deltas.items()})


@pytest.mark.parametrize(
    ("schedule", "shown", "carried"), [("batch:2", 2.5, 5.0), ("sequential", 2.5, 5.0), ("single", 0.5, 0.5)]
)
def test_a_view_is_asked_at_the_end_and_never_carried_on(
    made: tuple[LocalHost, Timeline], schedule: str, shown: float, carried: float
) -> None:
    host, timeline = made
    arm = write_arm("m/x", SPEC, Halved(""), EDITS, Schedule.parse(schedule), host, timeline)
    name = host.modules.down_weight(0)

    def at(state: StateId) -> float:
        with timeline.at(state):
            return float((host.masters.parameter(name) - host.original(name)).mean())

    assert at(arm.layout.state("e4", "final")) == pytest.approx(shown, abs=1e-4)
    assert at(arm.layout.state("e4", "at_edit")) == pytest.approx(carried, abs=1e-4)
    timeline.close()


class Counts(Method[None]):
    """Carries how many edits it has seen, and draws a number."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        seen = state.get("seen", torch.tensor(0)) + len(edits)
        drawn = float(torch.rand((), generator=host.rng))
        done = tuple(Status(e.id, "done", facts={"seen": float(seen), "drawn": drawn}) for e in edits)
        return Step(None, {"seen": seen}, done)


@pytest.mark.parametrize(("schedule", "seen"), [("batch:2", [12, 12, 14, 14, 15]), ("single", [11] * 5)])
def test_what_was_prepared_is_where_every_line_of_edits_begins(
    made: tuple[LocalHost, Timeline], schedule: str, seen: list[int]
) -> None:
    host, timeline = made
    arms = [
        write_arm(
            name, SPEC, Counts(None), EDITS, Schedule.parse(schedule), host, timeline, state={"seen": torch.tensor(10)}
        )
        for name in ("m/x", "m/y", "m/x again")
    ]
    assert [[int(s.facts["seen"]) for s in arm.statuses] for arm in arms] == [seen] * 3
    drawn = [[s.facts["drawn"] for s in arm.statuses] for arm in arms]
    assert drawn[0] != drawn[1]
    host.reseed("m/x")
    assert drawn[0][0] == pytest.approx(float(torch.rand((), generator=host.rng)))
