"""The synthetic evaluation against a computation of its own, and on answers whose scores theory gives."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.protocols.pocket_answers import first_cases, means, outcome, pocket, unedited

from editharness.forms import prompts
from editharness.protocol import Answer, Answers
from editharness.types import Case, Question, Schedule
from editharness_plugins.protocols.questions_failed import EDITED, SCREENED
from editharness_plugins.protocols.synthetic import ASK, Synthetic, score_words

CASE = Case(
    id="c0",
    prompt="The capital of Kenya is",
    subject=(15, 20),
    target="New York City",
    old="Nairobi",
    paraphrases=("Kenya's capital is",),
    neighbours=(Question("The capital of Peru is", "Lima"),),
)
PROTOCOL = Synthetic()


@pytest.mark.parametrize(
    ("text", "match", "exact"),
    [("New York City", 1.0, 1.0), ("New York", 2 / 3, 0.0), ("Old York City hall", 2 / 3, 0.0), ("", 0.0, 0.0)],
)
def test_an_answer_without_a_model_is_matched_by_words(text: str, match: float, exact: float) -> None:
    (ask,) = prompts(CASE)
    scores = score_words(dataclasses.asdict(ask), text)
    assert (scores["match"], scores["exact"]) == (pytest.approx(match), exact)
    assert scores["old_match"] == 0.0


def test_columns_come_from_their_own_questions() -> None:
    def said(form: str, moment: str, forced: tuple[int, ...] = (), **scores: float) -> Answer:
        arm = "" if moment == "unedited" else EDITED
        return Answer(ASK[form], arm, moment, "c0", 0, scores, None, forced=forced)  # type: ignore[arg-type]

    answers = [
        said("prompt", "unedited", match=0.5, exact=0, old_match=1.0, old_exact=1),
        said("prompt", "final", match=0.75, exact=0, old_match=0, old_exact=0),
        said("paraphrase", "unedited", match=0.0, old_match=0.5),
        said("paraphrase", "final", match=0.25, old_match=0),
        said("neighbour", "unedited", (1, 2, 3, 4), match=1.0),
        said("neighbour", "final", (1, 2, 9, 4), match=0.5),
    ]

    def made(row: str) -> dict[str, float]:
        return means(PROTOCOL.summarise(row, Answers({"c0": CASE}, answers)))

    assert made("m") == {
        "reliability": 0.75,
        "all tokens": 0.0,
        "generalization": 0.25,
        "unchanged": 0.75,
        "correct": 0.5,
    }
    assert made("none") == {
        "reliability": 0.5,
        "all tokens": 0.0,
        "generalization": 0.0,
        "unchanged": 1.0,
        "correct": 1.0,
    }
    assert made("none*") == {"reliability": 1.0, "all tokens": 1.0, "generalization": 0.5}


def test_it_is_over_the_cases_of_wild() -> None:
    assert tuple(PROTOCOL.screening()) == (SCREENED,)
    assert {p.moment for p in PROTOCOL.probes(Schedule.parse("batch:5"), ()) if p.arm} == {"at_edit", "final"}


@torch.no_grad()
def directly(prompt: str, answer: str) -> float:
    """Token match ratio under teacher forcing, from the model's own logits of one row."""
    model, tokenizer = pocket().model, pocket().tokenizer
    start = len(tokenizer(prompt).input_ids)
    ids = tokenizer(f"{prompt} {answer}", return_tensors="pt").input_ids
    greedy = model(ids).logits[0, start - 1 : -1].argmax(dim=-1)
    return float((greedy == ids[0, start:]).float().mean())


@pytest.mark.slow
def test_the_match_ratio_is_that_of_a_direct_computation_at_any_batch_and_padding() -> None:
    cases = first_cases(12)
    task = ASK["prompt"]
    plain = unedited([task], cases)
    by_id = {case.id: case for case in cases}
    for answer in plain:
        case = by_id[answer.case]
        assert answer.scores["match"] == pytest.approx(directly(case.prompt, case.target))
        assert answer.scores["old_match"] == pytest.approx(directly(case.prompt, case.old))
        assert answer.scores["exact"] == float(answer.scores["match"] == 1.0)
    assert len({answer.scores["match"] for answer in plain}) > 1


@pytest.mark.slow
def test_controls_score_where_theory_puts_them() -> None:
    rows = {row: means(columns) for row, columns in outcome("synthetic_pocket").columns.items()}
    assert rows["context"]["reliability"] >= 0.9
    assert rows["target"]["reliability"] == rows["target"]["all tokens"] == 1.0
    assert rows["echo"]["reliability"] == rows["echo"]["all tokens"] == 0.0
    assert rows["constant"]["reliability"] < 0.2
    assert 0.0 < rows["none"]["reliability"] < 0.5, "tokens that follow from the target's own are given away"
    assert rows["none"]["all tokens"] == 0.0
    assert rows["none"]["unchanged"] == rows["none*"]["reliability"] == 1.0
    assert "unchanged" not in rows["echo"]
