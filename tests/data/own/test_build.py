from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.data.own.build import Built, Rules, build
from editharness.data.own.case_file import check_file, problems
from editharness.data.own.pairs import Pair, read_pairs
from editharness.data.own.review import review_table, safe
from editharness.data.records import RecordFault
from editharness.types import Skipped, Span

PAIRS = (
    Pair(1, "a", "Who is the mother of Ada Byron?", "Anne Milbanke", aliases=("Anne",), new_answer="Mary Shelley"),
    Pair(2, "b", "Who is the mother of Bo Peep?", "Eve"),
    Pair(3, "c", "Who is the father of Cy Young?", "McKinzie", subject="Cy Young"),
    Pair(4, "d", "how?", "so"),
    Pair(5, "e", "Is Paris or Rome the capital of Italy?", "Rome"),
    Pair(6, "f", "Which river flows through Cairo?", "Nile"),
)


def made(**options: object) -> Built:
    return build(PAIRS, Rules(), **options)  # type: ignore[arg-type]


def test_every_field_says_who_made_it() -> None:
    first, second, third = made().cases[:3]
    assert (first.target, first.old, first.old_aliases) == ("Mary Shelley", "Anne Milbanke", ("Anne",))
    assert first.subject_text == "Ada Byron"
    assert first.made_by["target"] == ("given",)
    assert first.made_by["subject"] == ("rule:capitals",)
    assert first.paraphrases == ("The mother of Ada Byron is who?",)
    assert first.completion == "The mother of Ada Byron is"
    assert first.completion[slice(*first.completion_subject)] == "Ada Byron"
    assert second.target in ("Anne Milbanke", "McKinzie")
    assert second.made_by["target"] == ("rule:same kind",)
    assert third.made_by["subject"] == ("given",)
    assert first.neighbours[0].prompt == PAIRS[1].question


def test_rows_that_make_no_case_are_named() -> None:
    assert made().left_out == (
        Skipped(4, "subject", "is found by no rule; give it in a column"),
        Skipped(5, "question", "gives the answer 'Rome' away"),
    )


def test_the_right_answer_can_be_written_as_qaedit_does() -> None:
    cases = {case.id: case for case in made(write="answer").cases}
    assert (cases["b"].target, cases["b"].old, cases["b"].made_by["old"]) == ("Eve", "", ())
    assert (cases["a"].target, cases["a"].old) == ("Mary Shelley", "Anne Milbanke")


def test_equal_seeds_make_equal_cases_and_none_has_faults() -> None:
    assert made(seed=1) == made(seed=1)
    assert not [problem for case in made().cases for problem in problems(case)]
    assert all(len(case.neighbours) <= 1 for case in made(locality=1).cases)


class Silent(Rules):
    """Finds subjects, but has no other words."""

    def paraphrase(self, question: str, subject: Span) -> tuple[str, str]:
        raise RecordFault("paraphrases", "nothing came")


class Gossip(Rules):
    """Says too much."""

    def paraphrase(self, question: str, subject: Span) -> tuple[str, str]:
        return "Is it Mary Shelley, Eve, McKinzie or the Nile?", "server:x"


@pytest.mark.parametrize(("maker", "reason"), [(Silent(), "nothing came"), (Gossip(), "gives the answer")])
def test_a_field_that_nobody_makes_stays_empty_and_is_reported(maker: Rules, reason: str) -> None:
    built = build(PAIRS[:3], maker)
    assert {case.paraphrases for case in built.cases} == {()}
    assert {case.made_by["paraphrases"] for case in built.cases} == {()}
    assert [gap.record for gap in built.gaps] == [1, 2, 3]
    assert all(reason in gap.reason for gap in built.gaps)


def test_the_review_is_a_table_without_formulas() -> None:
    pairs = (*PAIRS, Pair(7, "=1+1", "Which river flows through =cmd|' /C calc'!A0 Cairo?", "-2", new_answer="@SUM(1)"))
    table = review_table(build(pairs, Rules()))
    assert "'=1+1,Which river" in table
    assert "'@SUM(1)" in table
    assert "4,subject,is found by no rule" in table
    assert [safe(text) for text in ("=a", "+a", "-a", "@a", "\ta", " =a", "a=b", "")] == [
        *("'=a", "'+a", "'-a", "'@a", "'\ta", "' =a"),
        *("a=b", ""),
    ]


def test_on_qaedit_the_cases_pass_their_own_check(reference: Path, tmp_path: Path) -> None:
    rows = json.loads((reference / "data" / "qaedit" / "QAEdit_inter_1k.json").read_text(encoding="utf-8"))[:200]
    lines = [json.dumps({"question": row["prompt"], "answer": row["target"]}) for row in rows]
    (tmp_path / "qa.jsonl").write_text("\n".join(lines), encoding="utf-8")
    built = build(read_pairs(tmp_path / "qa.jsonl").pairs, Rules())
    assert len(built.cases) > 190
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(case.to_json()) + "\n" for case in built.cases), encoding="utf-8")
    assert check_file(path) == (len(built.cases), [])
