"""Texts that begin alike are found, and share only what they have in common."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from editharness.locate.sharing import by_beginning


@given(st.lists(st.lists(st.integers(1, 2), max_size=8), min_size=1, max_size=40), st.integers(1, 5))
def test_every_text_is_in_one_group_and_begins_as_the_group_does(texts: list[list[int]], worth: int) -> None:
    groups = by_beginning(texts, worth)
    assert sorted(number for group in groups for number in group.members) == list(range(len(texts)))
    for group in groups:
        beginnings = {tuple(texts[number][: group.shared]) for number in group.members}
        assert group.shared == 0 or (len(beginnings) == 1 and len(next(iter(beginnings))) == group.shared)


@given(st.lists(st.lists(st.integers(1, 3), max_size=8), min_size=1, max_size=40), st.integers(1, 5))
def test_a_shared_beginning_is_worth_its_passes(texts: list[list[int]], worth: int) -> None:
    for group in by_beginning(texts, worth):
        assert group.shared == 0 or (len(group.members) - 1) * group.shared > 2 * worth


def test_contexts_are_told_apart_and_what_is_alone_stays_together() -> None:
    contexts = [[1, *range(10, 20)], [1, *range(30, 41)]]
    texts = [[*context, 100 + edit] for edit in range(50) for context in contexts] + [[1, 500], [1, 501]]
    groups = by_beginning(texts)
    assert [group.shared for group in groups] == [0, 11, 12]
    assert [len(group.members) for group in groups] == [2, 50, 50]
