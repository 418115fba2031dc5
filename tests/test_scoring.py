from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.scoring import (
    asserts,
    before_stop,
    begins,
    contains,
    equals,
    normal,
    same_start,
    score_constant,
    score_texts,
    squad_equals,
    squad_normal,
    token_f1,
    words_right,
)

words = st.text(alphabet="abcdefgh", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "answer", "found"),
    [
        (" Paris.", "Paris", True),
        (" the city of Paris, of course", "Paris", True),
        (" Parisian", "Paris", False),
        (" paris", "Paris", True),
        ("", "Paris", False),
        ("C++ and", "C++", True),
    ],
)
def test_contains_looks_for_whole_words(text: str, answer: str, found: bool) -> None:
    assert contains(text, [answer]) is found


def test_an_empty_answer_is_contained_in_nothing() -> None:
    assert not contains("Paris", ["", " . "])
    assert not begins("Paris", [""])


@pytest.mark.parametrize(
    ("text", "starts"), [(" York is", True), (" Yorkshire", False), (" New York", False), (" york", False)]
)
def test_begins_counts_whole_words_and_case(text: str, starts: bool) -> None:
    assert begins(text, ["York"]) is starts


def test_equals_is_the_answer_and_nothing_else() -> None:
    assert equals(" Paris.\n", ["Paris"])
    assert not equals(" Paris is", ["Paris"])
    assert equals(" Roma", ["Rome", "Roma"])


@given(st.lists(words, min_size=1, max_size=6), st.integers(1, 6))
def test_same_start_compares_as_many_words_as_expected(said: list[str], expected: int) -> None:
    text = " ".join(said)
    assert same_start(text, text, "x " * expected)
    longer = f"{text} zzz"
    assert same_start(text, longer, "x " * expected) is (expected <= len(said))


@given(st.text())
def test_normal_is_idempotent(text: str) -> None:
    assert normal(normal(text)) == normal(text)


def test_scores_of_a_text_use_aliases_and_of_a_constant_only_the_target() -> None:
    doc = {"target": "Rome", "aliases": ["Roma"], "old": "Paris"}
    assert score_texts(doc, " Roma.") == {"contained": 1.0, "equal": 1.0}
    assert score_constant(doc, "Rome") == {"contained": 1.0, "equal": 1.0, "exact": 1.0, "old_exact": 0.0}
    assert score_constant({**doc, "old": ""}, "Oslo") == {"contained": 0.0, "equal": 0.0, "exact": 0.0}


@pytest.mark.parametrize(
    ("text", "answer", "same"),
    [
        (" The Beatles!", "beatles", True),
        ("J. R. R. Tolkien", "j r r tolkien", True),
        ("Zürich", "Zürich", True),
        ("", "the", False),
        ("", ")", False),
        (")", ")", True),
        ("The", "The", True),
        ("New York City", "New York", False),
    ],
)
def test_squad_equality(text: str, answer: str, same: bool) -> None:
    assert squad_equals(text, [answer]) is same


@given(st.lists(words, min_size=1, max_size=4), st.lists(words, min_size=1, max_size=4))
def test_f1_is_symmetric_and_one_only_for_the_same_words(first: list[str], second: list[str]) -> None:
    one, two = " ".join(first), " ".join(second)
    assert token_f1(one, [two]) == pytest.approx(token_f1(two, [one]))
    assert 0.0 <= token_f1(one, [two]) <= 1.0
    same = sorted(squad_normal(one).split()) == sorted(squad_normal(two).split())
    assert (token_f1(one, [two]) == pytest.approx(1.0)) is same


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Paris", True),
        ("it is Paris, France", True),
        ("Paris, not Lyon", False),
        ("Paris or Rome", False),
        ("It isn’t Paris", False),
        ("Parisian", False),
        ("", False),
    ],
)
def test_an_assertion_holds_no_denial_and_no_old_answer(text: str, holds: bool) -> None:
    assert asserts(text, ["Paris"], ["Rome"]) is holds


def test_a_rival_or_a_denial_within_the_answer_itself_is_none() -> None:
    assert asserts("It is New Rome", ["New Rome"], ["Rome"])
    assert asserts("No Doubt", ["No Doubt"], [])
    assert not asserts("anything", ["", " . "], [])


@given(st.text(max_size=40), st.lists(st.sampled_from([".", "\n", "ab"]), max_size=3))
def test_a_stopped_text_is_a_start_without_stops_and_stays_as_it_is(text: str, stops: list[str]) -> None:
    cut = before_stop(text, stops)
    assert text.startswith(cut)
    assert not any(stop in cut for stop in stops)
    assert before_stop(cut, stops) == cut


def test_words_right_counts_places() -> None:
    assert words_right("New York City", "New Haven City") == pytest.approx(2 / 3)
    assert words_right("New York", "") == words_right("", "New York") == 0.0
