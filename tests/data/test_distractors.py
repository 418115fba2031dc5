"""The third answer of a case."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from editharness.data.distractors import with_distractors
from editharness.types import Case

ANSWERS = st.sampled_from(["Rome", "rome", "Oslo", "Bern", "Lima"])


def case(number: int, relation: str, old: str, target: str) -> Case:
    return Case(f"c{number}", "The capital of X is", (15, 16), target, old, relation=relation)


@given(st.lists(st.tuples(st.sampled_from(["capital", "seat", ""]), ANSWERS, ANSWERS), min_size=1, max_size=12))
def test_a_distractor_is_another_answer_of_the_relation_and_no_order_moves_it(rows: list[tuple[str, str, str]]) -> None:
    cases = [case(number, *row) for number, row in enumerate(rows)]
    made = with_distractors(cases)
    for one in made:
        answers = {a for other in cases if other.relation == one.relation for a in (other.old, other.target)}
        left = {a for a in answers if a.casefold() not in {one.old.casefold(), one.target.casefold()}}
        assert one.distractor in left if left else one.distractor == ""
    backwards = {one.id: one.distractor for one in with_distractors(cases[::-1])}
    assert backwards == {one.id: one.distractor for one in made}


def test_a_supplied_distractor_wins() -> None:
    (one, _) = with_distractors([Case("a", "X is", (0, 1), "Rome", distractor="Lima"), case(1, "", "Oslo", "Bern")])
    assert one.distractor == "Lima"
