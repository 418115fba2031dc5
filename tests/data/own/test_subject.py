from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.data.own.subject import find_by_rules


@pytest.mark.parametrize(
    ("question", "subject", "rule"),
    [
        ("Who published Journal of Clinical Microbiology?", "Journal of Clinical Microbiology", "capitals"),
        ("Who is Li Jiancheng's sister?", "Li Jiancheng", "capitals"),
        ("Which character did Felicity Kendall play in 'The Good Life'?", "'The Good Life'", "quoted"),
        ("where does the last name baca come from?", "last name baca", "verb"),
        ("who developed the central processing unit (cpu)?", "central processing unit (cpu)", "verb"),
        ("In what year did Kristin Otto retire from swimming?", "Kristin Otto", "capitals"),
        ("to what of the sea?", "sea", "preposition"),
    ],
)
def test_rules(question: str, subject: str, rule: str) -> None:
    found = find_by_rules(question)
    assert found is not None
    assert (question[slice(*found.span)], found.rule) == (subject, rule)


@pytest.mark.parametrize("question", ["", "?", "who?", "why not?"])
def test_no_subject_is_guessed_where_no_rule_fits(question: str) -> None:
    assert find_by_rules(question) is None


@given(st.text(st.sampled_from("aAzZ of in the was did \"'.?,8Éß"), max_size=60))
def test_a_subject_is_a_proper_part_of_its_question(question: str) -> None:
    found = find_by_rules(question)
    if found is not None:
        inside = question[slice(*found.span)]
        assert inside.strip() == inside
        assert any(letter.isalnum() for letter in inside)
        assert len(inside) < len(question)


def bare(text: str) -> str:
    return re.sub(r"^(the|a|an)\s+", "", text.casefold().strip(" \"'“”‘’?.,"))


def test_against_qaedits_own_subjects(reference: Path) -> None:
    """What docs/data.md reports: GPT-4's subjects, of 1,000 questions that the rules were written on."""
    rows = json.loads((reference / "data" / "qaedit" / "QAEdit_inter_1k.json").read_text(encoding="utf-8"))
    counts = {"equal": 0, "equal but for articles and marks": 0, "overlap": 0, "found": 0}
    for row in rows:
        question, theirs = (" ".join(row[field].replace('""', '"').split()) for field in ("prompt", "subject"))
        found = find_by_rules(question)
        if found is None:
            continue
        ours, at = question[slice(*found.span)], question.index(theirs)
        counts["found"] += 1
        counts["equal"] += ours == theirs
        counts["equal but for articles and marks"] += bare(ours) == bare(theirs)
        counts["overlap"] += found.span[0] < at + len(theirs) and at < found.span[1]
    told = re.findall(
        r"^\| (.+?) \| (\d+) \|", (Path(__file__).parents[3] / "docs" / "data.md").read_text(), re.MULTILINE
    )
    assert {name: int(count) for name, count in told if name in counts} == counts
