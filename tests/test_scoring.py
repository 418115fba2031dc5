from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.scoring import begins, contains, equals, normal, same_start, score_constant, score_texts

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
