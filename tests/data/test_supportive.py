from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.data.supportive import Masked, Scope, remove_supportive, replace_supportive, supportive_spans
from editharness.errors import UsageError

PROMPT = "The mother tongue of Ada Lovelace is not"
SUBJECT = (21, 33)


def said(scope: Scope) -> list[str]:
    return [PROMPT[start:end] for start, end in supportive_spans(PROMPT, SUBJECT, scope)]


def test_spans_of_both_scopes() -> None:
    assert said("between") == ["is", "not"]
    assert said("context") == ["The", "mother", "tongue", "of", "is", "not"]


def test_removed() -> None:
    assert remove_supportive(PROMPT, SUBJECT) == Masked("The mother tongue of Ada Lovelace", SUBJECT, 2)
    assert remove_supportive(PROMPT, SUBJECT, "context") == Masked("Ada Lovelace", (0, 12), 6)


def test_replaced() -> None:
    assert replace_supportive(PROMPT, SUBJECT, "_") == Masked("The mother tongue of Ada Lovelace _ _", SUBJECT, 2)
    assert replace_supportive(PROMPT, SUBJECT, "_", "context") == Masked("_ _ _ _ Ada Lovelace _ _", (8, 20), 6)


def test_a_filler_is_taken_literally() -> None:
    assert replace_supportive(PROMPT, SUBJECT, r"\1").prompt == r"The mother tongue of Ada Lovelace \1 \1"


def test_a_possessive_is_supportive() -> None:
    assert supportive_spans("Ada's job is", (0, 3)) == ((3, 5), (6, 9), (10, 12))


def test_nothing_follows_the_subject() -> None:
    assert remove_supportive("About Ada", (6, 9)) == Masked("About Ada", (6, 9), 0)


@pytest.mark.parametrize("filler", ["", " ", "a b", "_ "])
def test_a_filler_is_one_word(filler: str) -> None:
    with pytest.raises(UsageError, match="without white space"):
        replace_supportive(PROMPT, SUBJECT, filler)


texts = st.text("ab '?.\n", max_size=12)
names = st.text("AB ", min_size=1, max_size=6).filter(lambda text: text == text.strip())


@given(texts, names, texts, st.sampled_from(["between", "context"]))
def test_the_subject_stays_and_the_rest_is_covered(before: str, name: str, after: str, scope: Scope) -> None:
    prompt, subject = before + name + after, (len(before), len(before) + len(name))
    spans = supportive_spans(prompt, subject, scope)
    outside = after if scope == "between" else before + after
    assert sum(end - start for start, end in spans) == len("".join(outside.split()))
    assert all(end <= subject[0] or start >= subject[1] for start, end in spans)
    for made in (remove_supportive(prompt, subject, scope), replace_supportive(prompt, subject, "_", scope)):
        assert made.prompt[made.subject[0] : made.subject[1]] == name
        assert made.count == len(spans)
        if scope == "between":
            assert made.prompt.startswith(before + name)
