"""Scores with and without a mark, on a committed run: they are those of the cases, and together all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from editharness.comparing import read_side
from editharness.comparing.strata import By, strata
from editharness.types import Case
from editharness_plugins.datasets import pocket
from editharness_plugins.pocket.relations import HERE

RESULTS = Path(__file__).parents[2] / "leaderboards" / "results"
RUN = next((RESULTS / "negation_pocket").glob("memit-*"))


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    return {case.id: case for case in pocket.load(HERE / "pocket.jsonl").cases}


@pytest.mark.parametrize("by", ["tag", "relation"])
def test_both_parts_are_the_means_of_their_cases(cases: dict[str, Case], by: By) -> None:
    side = read_side(RUN)
    values, _ = side.values("PP")
    found = list(strata(side, cases, ("PP",), by))
    assert len(found) >= 3
    for one in found:
        inside = {c for c in values if (one.mark in cases[c].tags if by == "tag" else one.mark == cases[c].relation)}
        assert (one.n_with, one.n_without) == (len(inside), len(values) - len(inside))
        assert one.with_it[0] == pytest.approx(sum(values[c] for c in inside) / len(inside))
        total = (one.with_it[0] or 0) * one.n_with + (one.without[0] or 0) * one.n_without
        assert total == pytest.approx(sum(values.values()))


def test_facts_that_trained_the_model_and_answers_inside_the_subject_are_told_apart(cases: dict[str, Case]) -> None:
    marks = {one.mark for one in strata(read_side(RUN), cases, ("rectified",))}
    assert {"untrained", "answer_in_subject"} <= marks


def test_without_the_data_no_case_has_a_mark() -> None:
    assert list(strata(read_side(RUN), {}, ("PP",))) == []
