from __future__ import annotations

import pytest

from editharness.data.own.rephrase import rephrase_by_rules


@pytest.mark.parametrize(
    ("question", "subject", "text", "rule"),
    [
        ("Who is the mother of Ada?", "Ada", "The mother of Ada is who?", "statement"),
        ("What university did Ada attend?", "Ada", "The university Ada attended is what?", "statement"),
        ("Where was Ada born?", "Ada", "Ada was born in what place?", "statement"),
        ("How old is Ada?", "Ada", "Answer this: How old is Ada?", "announced"),
        ("The mother of Ada is who?", "Ada", "The mother of Ada is what?", "statement"),
        (
            "There was a plaque for Ada. Which comic?",
            "Ada",
            "Answer this: There was a plaque for Ada. Which comic?",
            "announced",
        ),
    ],
)
def test_rules(question: str, subject: str, text: str, rule: str) -> None:
    at = question.index(subject)
    made = rephrase_by_rules(question, (at, at + len(subject)))
    assert (made.text, made.rule) == (text, rule)


def test_a_question_that_is_its_own_statement_is_announced() -> None:
    assert rephrase_by_rules("Ada wrote what?", (0, 3)).text != "Ada wrote what?"
