from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.errors import PluginError
from editharness.plan import batches, layout, plan_documents
from editharness.protocol import Probe
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
