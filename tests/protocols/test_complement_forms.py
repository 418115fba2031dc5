"""What the pairs of negation_plus ask, and how a yes or a no is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.forms import find_form
from editharness.types import Case
from editharness_plugins.protocols.complement_forms import (
    AFFIRMED,
    ASKED,
    DENIED,
    score_yes_or_no,
    swapped,
    yes_or_no,
)

KENYA = Case(
    "k", "The capital of Kenya is", (15, 20), "Rome", "Nairobi", ("Nairobi City",), ("Roma",),
    question="What is the capital of Kenya?", statement="The capital of Kenya is {}",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "affirming", "denying"),
    [
        ("never", "The capital of Kenya has indeed been", "The capital of Kenya has never been"),
        ("no_longer", "The capital of Kenya is now", "The capital of Kenya is no longer"),
        ("false_that", "It is true that the capital of Kenya is", "It is false that the capital of Kenya is"),
        ("antonym", "The capital of Kenya is none other than", "The capital of Kenya is anything but"),
        ("contrast", "The capital of Kenya is not Nairobi but", "The capital of Kenya is Rome, not"),
        ("question", "What is the capital of Kenya?", "What is not the capital of Kenya?"),
    ],
)
def test_a_pair_asks_for_the_target_where_it_affirms_and_where_it_denies(
    kind: str, affirming: str, denying: str
) -> None:
    asked = list(ASKED[kind].asks(KENYA))
    assert [(one.kind, one.prompt) for one in asked] == [(AFFIRMED, affirming), (DENIED, denying)]
    assert {(one.target, one.old, one.aliases) for one in asked} == {("Rome", "Nairobi", ("Roma",))}


def test_a_contradictory_pair_is_answered_yes_then_no() -> None:
    asked = list(ASKED["contradictory"].asks(KENYA))
    assert [(one.kind, one.prompt) for one in asked] == [
        (AFFIRMED, "Is the capital of Kenya a city in Europe?"),
        (DENIED, "Is the capital of Kenya a city in Africa?"),
    ]
    assert {(one.target, one.old) for one in asked} == {("yes", "no")}


def test_before_the_edit_the_contrast_is_the_other_way_round() -> None:
    form = find_form("editharness_plugins.protocols.negation_plus:CONTRAST_OLD")
    assert [(one.prompt, one.target) for one in form.asks(KENYA)] == [
        ("The capital of Kenya is not Rome but", "Nairobi"),
        ("The capital of Kenya is Nairobi, not", "Nairobi"),
    ]
    assert swapped(swapped(KENYA)) == KENYA


def test_what_cannot_be_made_is_not_asked() -> None:
    bare = Case("b", "Kenya", (0, 5), "Rome")
    assert [kind for kind, form in ASKED.items() if any(form.asks(bare))] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" yes", "yes"),
        ("Yes, it is.", "yes"),
        ("No.", "no"),
        ("\nno\nyes", "no"),
        ("Nobody knows", ""),
        ("not yes", ""),
        ("", ""),
        ("...", ""),
    ],
)
def test_a_yes_or_a_no_is_the_first_word_or_it_is_none(text: str, said: str) -> None:
    assert yes_or_no(text) == said


@given(st.text())
def test_scores_agree_with_what_was_read(text: str) -> None:
    scores = score_yes_or_no({}, text)
    assert scores["yes"] + scores["no"] == scores["read"] == float(yes_or_no(text) in ("yes", "no"))
