"""Which cases are taken, and why the others are not."""

from __future__ import annotations

import pytest

from editharness.errors import DataError, UsageError
from editharness.host import LocalHost
from editharness.mechanism.choosing import (
    LeftOut,
    answer_words,
    choose,
    differs_when_negated,
    first_tokens,
    greedy,
    known,
    subject_in,
)
from editharness.models.load import load_model
from editharness.models.spans import encode_text
from editharness.testing.tiny import save_tiny
from editharness.types import Case


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    return LocalHost(load_model(str(save_tiny("llama", tmp_path_factory.mktemp("model"))), device="cpu"), seed=0)


def case(old: str = "Nairobi", prompt: str = "The capital of Kenya is") -> Case:
    start = prompt.index("Kenya")
    return Case("1", prompt, (start, start + 5), "Rome", old=old)


def said_first(host: LocalHost, prompt: str) -> str:
    """An old answer that the model gives: what it says first, if that can stand alone after a space."""
    token = first_tokens(host, [encode_text(host.tokenizer, prompt)[0]])[0]
    return str(host.tokenizer.decode([token]))


def test_rows_of_unlike_length_do_not_disturb_each_other(host: LocalHost) -> None:
    rows = [encode_text(host.tokenizer, text)[0] for text in ("The capital", "The currency of Japan is the", "I")]
    assert first_tokens(host, rows) == [first_tokens(host, [row])[0] for row in rows]
    assert greedy(host, ["The capital", "I"], 4) == [greedy(host, [text], 4)[0] for text in ("The capital", "I")]


def test_a_case_without_an_old_answer_or_answered_otherwise_is_left_out(host: LocalHost) -> None:
    with pytest.raises(LeftOut, match="without an old answer"):
        known(host, case(""), "", negated=False)
    with pytest.raises(LeftOut, match="answered otherwise"):
        known(host, case(), "Nairobi", negated=False)


def test_a_known_case_is_followed_at_its_answer_and_negated_at_what_is_said(host: LocalHost) -> None:
    for prompt in ("The capital of Kenya is", "The city of Kenya is", "Kenya is called", "The yen of Kenya is"):
        word = said_first(host, prompt)
        if word.startswith(" ") and word.strip():
            break
    else:
        word = ""
    if not word:
        pytest.fail("the tiny model says no whole word; take another seed")
    plain = known(host, case(word, prompt), word, negated=False)
    assert plain.answer == first_tokens(host, [plain.ids])[0]
    negated = known(host, case(word, prompt), word, negated=True)
    assert len(negated.ids) > len(plain.ids)
    assert negated.answer == first_tokens(host, [negated.ids])[0]


def test_words_of_an_answer_end_with_its_sentence() -> None:
    assert answer_words(' "Nairobi", the city. It lies in Kenya') == {"nairobi", "the", "city"}
    assert answer_words("\n") == frozenset()


def test_a_supplied_negation_that_moves_the_subject_is_left_out(host: LocalHost) -> None:
    moved = Case(
        "1", "The capital of Kenya is", (15, 20), "Rome", "Nairobi", negated_prompt="It is false of Kenya that"
    )
    assert subject_in(moved) == (15, 20)
    with pytest.raises(LeftOut, match="before the subject's end"):
        differs_when_negated(host, moved)


def test_choosing_counts_and_complains() -> None:
    cases = [Case(str(i), "Kenya is", (0, 5), "x") for i in range(5)]

    def odd(one: Case) -> str:
        if int(one.id) % 2 == 0:
            raise LeftOut("that are even")
        return one.id

    found = choose(cases, 2, odd, exact=True, what="that are odd")
    assert (found.taken, found.looked_at, dict(found.left_out)) == (("1", "3"), 4, {"that are even": 2})
    assert choose(cases, 9, odd, exact=False, what="").taken == ("1", "3")
    with pytest.raises(UsageError, match=r"--cases 9: only 2 cases that are odd \(3 that are even\)"):
        choose(cases, 9, odd, exact=True, what="that are odd")
    with pytest.raises(DataError, match=r"no case that is odd \(1 that are even\)"):
        choose(cases[:1], 1, odd, exact=False, what="that is odd")
