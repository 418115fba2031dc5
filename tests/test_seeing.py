"""What a method sees: nothing that its spec does not declare, and never a probe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from editharness.errors import UsageError
from editharness.seeing import forms, show_arms, training_cases
from editharness.types import Case, Edit, MethodSpec, Question, Sees

CASE = Case(
    id="a",
    prompt="The capital of Kenya is",
    subject=(15, 20),
    target="Rome",
    old="Nairobi",
    training_forms=(
        ("plain", "In Kenya, the capital is"),
        ("negated", "Nobody says that the capital of Kenya is"),
        ("judged", "In Kenya, the capital is {}. True or false? Answer:"),
    ),
)
OTHER = Case(id="b", prompt="The capital of Peru is", subject=(15, 19), target="Oslo", old="Lima", split="train")
EDIT = Edit("a", CASE.prompt, CASE.subject, CASE.target)


@pytest.mark.parametrize("sees", [set(), {"old"}, {"unrelated_text"}, {"forms"}, {"old", "unrelated_text", "forms"}])
def test_an_edit_holds_what_is_declared_and_nothing_else(sees: set[Sees]) -> None:
    shown = show_arms({"positive": [EDIT]}, [CASE], sees, [OTHER])["positive"][0]
    assert shown.old == ("Nairobi" if "old" in sees else None)
    assert shown.unrelated_text == ("The capital of Peru is Lima" if "unrelated_text" in sees else None)
    assert bool(shown.forms) == ("forms" in sees)
    assert replace(shown, old=None, unrelated_text=None, forms=()) == EDIT


def test_forms_say_what_the_edit_makes_right() -> None:
    judged = "In Kenya, the capital is {}. True or false? Answer:".format
    assert forms(CASE, negated=False) == (
        ("In Kenya, the capital is", "Rome"),
        ("Nobody says that the capital of Kenya is", "Nairobi"),
        (judged("Rome"), "true"),
        (judged("Nairobi"), "false"),
    )
    assert forms(CASE, negated=True) == (
        ("In Kenya, the capital is", "Nairobi"),
        ("Nobody says that the capital of Kenya is", "Rome"),
        (judged("Nairobi"), "true"),
        (judged("Rome"), "false"),
    )


def test_a_case_without_an_old_answer_has_the_forms_that_need_none() -> None:
    assert ("Nobody says that the capital of Kenya is", "") not in forms(replace(CASE, old=""), negated=False)


SPEC = MethodSpec("mend", "MEND", "", "x:Y", trains=True)


def test_no_training_case_shares_a_subject_with_an_edit() -> None:
    twin = replace(OTHER, id="c", prompt="The capital of KENYA is", subject=(15, 20))
    assert training_cases(SPEC, "pocket", [OTHER, twin], [CASE]) == (OTHER,)


def test_a_training_case_asks_nothing_about_an_edited_subject() -> None:
    asks = tuple(Question(f"The capital of {place} is", "X") for place in ("Kenya", "Chad"))
    train = replace(OTHER, neighbours=asks, portability=asks)
    (found,) = training_cases(SPEC, "pocket", [train], [CASE])
    assert [q.prompt for q in (*found.neighbours, *found.portability)] == ["The capital of Chad is"] * 2


def test_a_missing_train_split_is_one_line_that_says_what_to_give() -> None:
    with pytest.raises(UsageError, match=r"'mend' needs cases to train on.*'mcf' has no train split.*--train FILE"):
        training_cases(SPEC, "mcf", [], [CASE])
    assert training_cases(replace(SPEC, trains=False), "mcf", [], [CASE]) == ()
