"""The fact-checking protocol: verdicts as read, columns on answers whose scores theory gives, and a real run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.cli import main
from editharness.protocol import Answer, Answers, Column, Moment
from editharness.types import Case
from editharness_plugins.protocols.factcheck import (
    CONCAT,
    RECALL,
    FactCheck,
    concatenated,
    judged_concatenated,
    judged_declared,
    score_verdict,
    verdict,
)

PROTOCOL = FactCheck()
CASES = {
    f"c{i}": Case(f"c{i}", f"The capital of K{i} is", (15, 17), "Rome", old="Oslo", distractor="Bern") for i in range(4)
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" true", "true"),
        ("False.", "false"),
        ("The statement is false.", "false"),
        ("\n\nTrue\nJudge whether: false", "true"),
        ("It is not true.", ""),
        ("true or false", ""),
        ("Truely", ""),
        ("", ""),
        ("It isn't false", ""),
    ],
)
def test_a_verdict_is_read_or_it_is_none(text: str, said: str) -> None:
    assert verdict(text) == said


@given(st.text())
def test_scores_agree_with_the_verdict(text: str) -> None:
    scores = score_verdict({}, text)
    assert scores["true"] + scores["false"] == scores["read"]
    assert scores["read"] == float(verdict(text) in ("true", "false"))


def test_statements_are_prompt_and_answer_and_questions_are_rewritten() -> None:
    case = CASES["c0"]
    assert [(ask.kind, ask.prompt.partition(": ")[2]) for ask in judged_concatenated(case)] == [
        ("new", "The capital of K0 is Rome"),
        ("old", "The capital of K0 is Oslo"),
        ("other", "The capital of K0 is Bern"),
    ]
    question = Case("q", "What is the capital of K?", (23, 24), "Rome", statement="The capital of K is {}")
    assert concatenated(question, "Rome") == "The capital of K is Rome"
    assert list(judged_declared(question)) == []  # the same statement is not asked about twice
    bare = Case("q", "What is the capital of K?", (23, 24), "Rome")
    assert concatenated(bare, "Rome") == "The capital of K is Rome"


def test_what_statements_can_be_made_is_counted() -> None:
    chosen = PROTOCOL.select([CASES["c0"], Case("q", "What is the capital of K?", (23, 24), "Rome")])
    assert [case.id for case in chosen.cases] == ["c0", "q"]
    assert chosen.facts == {"old answer": 1, "other answer": 1, "question rewritten": 1}


def told(moment: Moment, kind: str, *said: str) -> list[Answer]:
    """One verdict per case."""
    arm = "" if moment == "unedited" else "positive"
    return [
        Answer(CONCAT, arm, moment, case, 0, score_verdict({}, text), text, kind=kind)
        for case, text in zip(CASES, said, strict=True)
    ]


def columns(row: str, answers: list[Answer]) -> dict[str, Column]:
    return {column.name: column for column in PROTOCOL.summarise(row, Answers(CASES, answers))}


def mean(column: Column) -> float | None:
    return sum(column.values.values()) / len(column.values) if column.values else None


def test_accuracy_excludes_what_the_paper_excludes_and_fixed_does_not_move_with_the_method() -> None:
    made = columns(
        "m",
        [
            *told("unedited", "new", "false", "false", "true", "well"),
            *told("final", "new", "true", "false", "true", "true"),
        ],
    )
    assert made["accuracy"].values == {"c0": 1.0, "c1": 0.0}  # c2 true twice, c3 unread before
    assert made["fixed"].values == {"c0": 1.0, "c1": 0.0}
    assert [mean(made[way]) for way in ("f→t", "f→f", "t→t", "t→f")] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    assert mean(made["unread"]) == 0.0


@pytest.mark.parametrize("always", ["true", "false"])
def test_always_the_same_verdict_is_worth_half(always: str) -> None:
    same = [always] * 4
    unedited = [a for kind in ("new", "old", "other") for a in told("unedited", kind, "false", "false", "true", "true")]
    made = columns("m", [*unedited, *(a for kind in ("new", "old", "other") for a in told("final", kind, *same))])
    assert mean(made["balanced"]) == mean(made["balanced 3"]) == 0.5
    assert mean(made["fixed"]) == float(always == "true")


def test_a_model_that_was_told_and_the_one_that_was_not_stand_at_the_ends() -> None:
    unedited = [
        *told("unedited", "new", *["false"] * 4),
        *told("unedited", "old", *["true"] * 4),
        *told("unedited", "other", *["false"] * 4),
    ]
    updated = [
        *told("final", "new", *["true"] * 4),
        *told("final", "old", *["false"] * 4),
        *told("final", "other", *["false"] * 4),
    ]
    made = columns("m", [*unedited, *updated])
    assert mean(made["balanced"]) == mean(made["balanced 3"]) == mean(made["accuracy"]) == 1.0
    assert mean(columns("none", unedited)["balanced"]) == mean(columns("none", unedited)["accuracy"]) == 0.0
    recall = [Answer(RECALL, "", "unedited", case, 0, {"exact": 0.0, "old_exact": 1.0}) for case in CASES]
    known = columns("none*", [*unedited, *recall])
    assert mean(known["accuracy"]) == mean(known["balanced 3"]) == 1.0


def test_every_column_is_defined() -> None:
    asked = [a for kind in ("new", "old", "other") for a in told("final", kind, *["true"] * 4)]
    assert set(columns("m", asked)) <= set(FactCheck.glossary)


@pytest.mark.slow
def test_on_pocket_every_control_stands_where_theory_puts_it(tmp_path: Path) -> None:
    words = ["eval", "--method", "memit", "--task", "factcheck_pocket", "--edits", "40", "--output", str(tmp_path)]
    assert main([*words, "--schedule", "batch:20", "--checkpoints", "20"]) == 0
    (path,) = tmp_path.glob("*/record.json")
    record = json.loads(path.read_text())
    rows = {row["row"]: {c["name"]: c["value"] for c in row["columns"]} for row in record["rows"]}
    assert rows["always true"]["balanced 3"] == rows["always false"]["balanced 3"] == 0.5
    assert rows["always true"]["fixed"] == 1.0
    assert rows["none"]["accuracy"] == rows["none"]["fixed"] == 0.0
    for null in ("constant", "echo", "target"):
        assert rows[null]["balanced 3"] == 0.0
        assert rows[null]["unread"] == 1.0
    assert rows["none*"]["balanced 3"] > 0.9  # pocket tells true from false
    assert rows["context"]["balanced 3"] > 0.8  # told the fact, it says so
    assert rows["context"]["balanced 3"] > rows["memit"]["balanced 3"] > rows["none"]["balanced 3"]
    assert record["protocol"]["ranked_by"] == "balanced 3"


@pytest.mark.slow
def test_a_chat_model_is_asked_through_its_own_template(tmp_path: Path) -> None:
    words = ["eval", "--method", "none", "--task", "factcheck_pocket", "--model", "pocket-chat", "--edits", "40"]
    assert main([*words, "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*/record.json")
    record = json.loads(path.read_text())
    known = next(row for row in record["rows"] if row["row"] == "none*")
    assert {c["name"]: c["value"] for c in known["columns"]}["balanced 3"] > 0.85
    assert "chat template" in record["notes"][0]
    with gzip.open(path.parent / "samples.jsonl.gz", "rt") as lines:
        samples = [json.loads(line) for line in lines]
    said = [one["text"] for one in samples if one["moment"] == "unedited" and one.get("kind") == "old"]
    assert len(said) == 40
    assert sum(verdict(text) != "" for text in said) > 36
