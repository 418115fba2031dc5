from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.data.adverbs import Refusal
from editharness.data.negated_questions import NegatedQuestion, negated_question, question_coverage
from editharness.types import Case
from editharness_plugins import pocket as pocket_folder
from editharness_plugins.datasets import mquake, pocket, zsre

NAME = "Ada Lovelace"


def case(template: str, name: str = NAME) -> Case:
    question = template.replace("{}", name, 1)
    return Case("1", f"{name} is", (0, len(name)), "x", question=question)


@pytest.mark.parametrize(
    ("template", "negated", "kept"),
    [
        ("Which city is the capital of {}?", "Which city is not the capital of {}?", False),
        ("What university did {} attend?", "What university did {} not attend?", True),
        ("In which country is the {}?", "In which country is the {} not?", True),
        ("Where are the headquarters of {}", "Where are the headquarters of {} not?", True),
        ("Who wrote {}?", "Who did not write {}?", False),
    ],
)
def test_negated(template: str, negated: str, kept: bool) -> None:
    made = negated_question(case(template))
    assert isinstance(made, NegatedQuestion)
    assert (made.question.replace(NAME, "{}"), made.key_kept) == (negated, kept)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (None, "no question"),
        ("Who is she?", "the question does not name the subject"),
        (f"Who is not {NAME}?", "negative already"),
        (f"The date of {NAME}?", "a question of no known build"),
        (f"When was the last of {NAME} executed?", "a question of no known build"),
    ],
)
def test_refused(question: str | None, reason: str) -> None:
    assert negated_question(Case("1", f"{NAME} is", (0, len(NAME)), "x", question=question)) == Refusal(reason)


pieces = st.sampled_from(
    ["Who", " is", " did", " the", " of", " born", "Where", " not", "In which", " ?", "?", ", ", "{}"]
)
words = st.lists(pieces, max_size=5).map("".join)


@given(words, words)
def test_the_subject_is_found_again(before: str, after: str) -> None:
    question = f"{before} Qx {after}"
    made = negated_question(Case("1", "Qx is", (0, 2), "x", question=question))
    if isinstance(made, NegatedQuestion):
        start, end = made.subject
        assert made.question[start:end] == "Qx"
        assert made.question.endswith("?")
        if made.key_kept:
            assert made.question.startswith(question[:end])


REAL = {
    "zsre/ZsRE-test-all.json": (zsre.load, 1227),
    "mquake/mquake_edits_rebuilt_with_true.json": (mquake.load, 2773),
}


@pytest.mark.parametrize("file", REAL)
def test_coverage_of_real_questions(reference: Path, file: str) -> None:
    load, expected = REAL[file]
    counts = question_coverage(load(reference / "data" / file).cases)
    assert counts["made, key kept"] + counts["made, key moved"] == expected


def test_every_question_of_pocket() -> None:
    cases = pocket.load(Path(pocket_folder.__file__).parent / "pocket.jsonl").cases
    assert set(question_coverage(cases)) == {"made, key kept", "made, key moved"}
