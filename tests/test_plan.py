from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.errors import PluginError, UsageError
from editharness.plan import COHORT_SIZE, COHORTS, Checkpoints, batches, layout, plan_documents
from editharness.protocol import Cohort, Probe
from editharness.types import Case, Question, Schedule

CASES = tuple(
    Case(
        id=f"c{i}",
        prompt=f"The capital of S{i} is",
        subject=(15, 17),
        target="Rome",
        old="Oslo" if i else "",
        negated_prompt=f"The capital of S{i} is not",
        neighbours=(Question("The capital of Z is", "Bern"),),
    )
    for i in range(3)
)
FORMS = {"negation_x_pos": "prompt", "negation_x_neg": "negated", "neighbour_x": "neighbour"}


@given(st.integers(1, 30), st.sampled_from(["single", "sequential", "all", "batch:4", "fresh:7"]))
def test_every_edit_stands_in_one_step(count: int, text: str) -> None:
    ids = [str(i) for i in range(count)]
    schedule = Schedule.parse(text)
    assert [i for batch in batches(ids, schedule) for i in batch] == ids
    assert all(len(batch) <= (schedule.size or count) for batch in batches(ids, schedule))
    steps = layout("arm", ids, schedule).step_of
    assert sorted(set(steps.values())) == list(range(1, len(batches(ids, schedule)) + 1))


def test_a_carried_case_is_asked_at_its_own_step_and_at_the_end() -> None:
    at = layout("m/positive", ["a", "b", "c"], Schedule.parse("batch:2"))
    assert at.state("a", "at_edit") == ("m/positive", 1, "carried")
    assert at.state("a", "final") == ("m/positive", 2, "carried")
    assert at.state("a", "unedited") == ("", 0, "carried")


def test_a_fresh_case_is_always_asked_after_its_own_edit_alone() -> None:
    at = layout("m/positive", ["a", "b"], Schedule.parse("single"))
    assert at.state("b", "final") == at.state("b", "at_edit") == ("m/positive", 2, "alone")


def test_unedited_questions_are_asked_once_and_each_row_asks_its_own_arm() -> None:
    arms = {
        row: {"positive": layout(f"{row}/positive", [c.id for c in CASES], Schedule.parse("all"))}
        for row in ("context", "m")
    }
    probes = [Probe("negation_{data}_pos", "", "unedited"), Probe("negation_{data}_pos", "positive", "final")]
    asked = plan_documents(probes, "x", CASES, arms, FORMS)
    docs = asked.documents["negation_x_pos"]
    assert [d["_arm"] for d in docs] == [""] * 3 + ["context/positive"] * 3 + ["m/positive"] * 3
    assert {tuple(d["_state"]) for d in docs[6:]} == {("m/positive", "1", "carried")}
    assert asked.requests() == 3 * 8  # two answers and a text each, but one case without an old answer
    assert set(asked.of_row("m")) == {"negation_x_pos"}
    assert len(asked.of_row("m")["negation_x_pos"]) == 3


def test_a_task_that_nobody_offers_is_named() -> None:
    with pytest.raises(PluginError, match="'gone_x', which no installed plugin offers"):
        plan_documents([Probe("gone_{data}", "", "unedited")], "x", CASES, {}, FORMS)


def many(count: int) -> tuple[Case, ...]:
    return tuple(Case(f"c{i}", f"The capital of S{i} is", (15, 17), "Rome") for i in range(count))


@pytest.mark.parametrize(
    ("cohort", "asked_at_4", "asked_at_6"), [("all", 4, 6), ("new", 2, 2), ("sampled", 4, 6)], ids=str
)
def test_checkpoints_ask_those_written_by_then(cohort: Cohort, asked_at_4: int, asked_at_6: int) -> None:
    cases = many(8)
    ids = [case.id for case in cases]
    arms = {
        "context": {"new": layout("context/new", ids, Schedule.parse("single"))},
        "m": {"new": layout("m/new", ids, Schedule.parse("batch:2"))},
    }
    probe = Probe("recall_{data}", "new", "checkpoint", cohort)
    checkpoints = Checkpoints((2, 4, 6))
    asked = plan_documents([probe], "x", cases, arms, {"recall_x": "prompt"}, checkpoints=checkpoints)
    docs = asked.documents["recall_x"]
    assert {doc["_arm"] for doc in docs} == {"m/new"}  # what does not carry on has no checkpoints
    at = {edits: [d["_state"] for d in docs if d["_edits"] == edits] for edits in (2, 4, 6)}
    assert [len(at[edits]) for edits in (2, 4, 6)] == [2, asked_at_4, asked_at_6]
    assert at[6][0] == ["m/new", "3", "carried"]


def test_a_checkpoint_is_asked_of_what_the_method_shows_there() -> None:
    arm = replace(layout("m/new", ["a", "b"], Schedule.parse("sequential")), viewed={1: ("m/new, viewed", 1, "alone")})
    assert arm.state("a", "at_edit") == ("m/new", 1, "carried")
    assert arm.place(1, "checkpoint") == ("m/new, viewed", 1, "alone")
    assert (arm.written, arm.step("a", "final")) == ({1: 1, 2: 2}, 2)


def test_a_checkpoint_within_a_batch_is_refused_with_where_batches_end() -> None:
    arm = layout("m/new", [str(i) for i in range(8)], Schedule.parse("batch:3"))
    with pytest.raises(UsageError, match="--checkpoints 4: no batch ends there; batches end at 3, 6, 8 edits"):
        arm.checkpoint(4)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=25, unique=True).map(sorted), st.integers(0, 3))
def test_cohorts_are_few_small_in_order_and_seeded(at: list[int], seed: int) -> None:
    order = [f"c{i}" for i in range(700)]
    checkpoints = Checkpoints(tuple(at), seed)
    cohorts = checkpoints.cohorts(order)
    assert list(cohorts) == order[: at[-1]]
    assert sorted(cohorts.values()) == list(cohorts.values())
    assert set(cohorts.values()) == set(range(min(COHORTS, len(at))))
    drawn = checkpoints.sampled(order)
    assert drawn == checkpoints.sampled(order)
    for cohort in set(cohorts.values()):
        members = {case for case, mine in cohorts.items() if mine == cohort}
        assert len(drawn & members) == min(COHORT_SIZE, len(members))
