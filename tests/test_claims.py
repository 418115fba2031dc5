"""What counts as an asserted answer: sentences as models write them, and properties over made-up ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.claims import objection
from editharness.errors import UsageError

QUESTION = "What is the capital of Norway?"


@pytest.mark.parametrize(
    "text",
    [
        "Oslo",
        " oslo.",
        "The capital of Norway is Oslo.",
        "It is Oslo, not Bergen.",
        "Not Bergen but Oslo.",
        "It is not Bergen. It is Oslo.",
        "Oslo, no doubt.",
        "Oslo (formerly Christiania)",
        "It's not only a port; Oslo is the capital.",
        "Kristiania",
        "Oslo. The capital of Sweden is Stockholm.",
        "Oslo, actually.",
        f"{QUESTION} Oslo",
        "“Oslo”",
    ],
)
def test_an_asserted_answer(text: str) -> None:
    assert objection(text, ["Oslo", "Kristiania"], rivals=["Bergen"], question=QUESTION) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        (" .", "empty"),
        (QUESTION, "repeats the question"),
        ("Bergen", "not mentioned"),
        ("Oslofjord", "not mentioned"),
        ("It is not Oslo.", "negated"),
        ("It isn't Oslo", "negated"),
        ("It isn’t Oslo", "negated"),
        ("never Oslo", "negated"),
        ("It was formerly Oslo", "negated"),
        ("anything but Oslo", "negated"),
        ("Oslo is wrong.", "negated"),
        ("It is false that it is Oslo", "negated"),
        ("Oslo. It is not Oslo.", "asserted and negated"),
        ("Oslo or Bergen", "alternative"),
        ("Bergen or Oslo", "alternative"),
        ("Oslo, or maybe Trondheim", "alternative"),
        ("either Trondheim or perhaps Oslo", "alternative"),
        ("Oslo/Trondheim", "alternative"),
        ("Oslo. No, Trondheim.", "taken back"),
        ("Oslo. Wait, I mean Trondheim", "taken back"),
        ("Oslo, actually it is Trondheim", "taken back"),
        ("It is Oslo. It is Bergen.", "another answer is asserted: Bergen"),
        ("Oslo and Bergen", "another answer is asserted: Bergen"),
    ],
)
def test_what_is_no_assertion_of_it(text: str, why: str) -> None:
    assert why in objection(text, ["Oslo"], rivals=["Bergen"], question=QUESTION)


def test_a_rival_inside_the_answer_or_the_question_is_none() -> None:
    assert objection("New York", ["New York"], rivals=["York"]) == ""
    assert objection("Norway's capital is Oslo", ["Oslo"], rivals=["Norway"], question=QUESTION) == ""


def test_the_longest_alias_is_taken_and_aliases_are_no_alternatives() -> None:
    assert objection("Oslo, Norway", ["Oslo", "Oslo, Norway"]) == ""
    assert objection("Shakespeare or William Shakespeare", ["William Shakespeare", "Shakespeare"]) == ""
    assert objection("six or so", ["six"]) == ""


def test_an_empty_gold_answer_is_refused() -> None:
    with pytest.raises(UsageError, match="the gold answer is empty"):
        objection("Oslo", ["", " . "])


names = st.text(alphabet="bcdfgklm", min_size=3, max_size=9)


@given(names, names, names)
def test_templates_with_any_names(gold: str, other: str, subject: str) -> None:
    if len({gold, other, subject}) < 3:
        return
    assert objection(f"{subject} is {gold}.", [gold]) == ""
    for text in (f"{gold} or {other}", f"{other} or {gold}", f"{subject} is not {gold}", f"not {gold}", other, subject):
        assert objection(text, [gold]) != ""


@given(st.text(max_size=80), st.text(max_size=12), st.text(max_size=40))
def test_any_text_is_taken_and_what_lacks_the_answer_never_passes(text: str, gold: str, question: str) -> None:
    try:
        reason = objection(text, [gold], question=question, rivals=[text[:3]])
    except UsageError:
        return
    if "".join(gold.split()).strip("\"'“”‘’.").casefold() not in "".join(text.split()).casefold():
        assert reason
