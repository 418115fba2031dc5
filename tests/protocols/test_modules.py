"""The four modules: which go together, and that every combination is what its name says, on pocket's real answers."""

from __future__ import annotations

import dataclasses

import pytest
from tests.protocols.pocket_answers import first_cases, means, outcome, pocket, unedited

from editharness.errors import UnknownNameError, UsageError
from editharness.protocol import Answers
from editharness.scoring import before_stop
from editharness_plugins.protocols import synthetic, wild
from editharness_plugins.protocols.modules import (
    ASK,
    COMBINATIONS,
    FREE,
    REFUSED,
    Modules,
    combination,
    score_words,
)
from editharness_plugins.protocols.questions_failed import SCREENED, STOPS, score_answer


def test_ten_combinations_exist_and_six_are_refused_by_name() -> None:
    assert len(COMBINATIONS) == 10
    assert len(REFUSED) == 6
    assert set(Modules.glossary) == set(COMBINATIONS)
    assert combination("free/forced/length/match") == ("free", "match")
    assert combination("guided/decoded/natural/exact") == ("guided", "em")
    with pytest.raises(UsageError, match="guided/forced/natural/exact: teacher forcing feeds the target's tokens"):
        combination("guided/forced/natural/exact")
    with pytest.raises(UsageError, match="free/decoded/natural/match: the match ratio compares token by token"):
        combination("free/decoded/natural/match")
    with pytest.raises(UnknownNameError, match="did you mean 'free/forced/length/match'"):
        combination("free/forced/lenght/match")


def test_an_answer_without_a_model_is_cut_by_words() -> None:
    (ask,) = FREE.asks(dataclasses.replace(first_cases(1)[0], target="Rome"))
    scores = score_words(dataclasses.asdict(ask), "Rome and more")
    assert scores == {"match": 1.0, "decoded": 1.0, "forced_em": 1.0, "cut_em": 1.0, "em": 0.0}


@pytest.mark.slow
def test_stopping_afterwards_is_stopping_during_generation() -> None:
    # pocket ends its answers itself, so a stop is met only within a name ("J. R. R. Tolkien")
    cases = [*first_cases(6), *[case for case in first_cases(1000) if "." in case.old][:6]]
    stopped = {a.case: a for a in unedited([SCREENED], cases)}
    raw = {a.case: a for a in unedited([ASK["guided"]], cases)}
    assert set(stopped) == set(raw) == {case.id for case in cases}
    for case in cases:
        text = str(raw[case.id].text)
        assert before_stop(text, STOPS) == stopped[case.id].text
        doc = {"target": case.target, "old": "", "aliases": case.target_aliases, "old_aliases": ()}
        assert raw[case.id].scores["em"] == score_answer(doc, text)["em"] == stopped[case.id].scores["em"]
    assert sum(len(str(raw[case.id].text)) > len(str(stopped[case.id].text)) for case in cases) > 2


@pytest.mark.slow
def test_lengths_and_matches_are_those_of_the_tokens() -> None:
    tokenizer = pocket().tokenizer
    cases = first_cases(16)
    for answer in unedited([ASK["free"]], cases):
        target = next(case.target for case in cases if case.id == answer.case)
        wanted = tokenizer(f" {target}", add_special_tokens=False).input_ids
        said = tokenizer(str(answer.text), add_special_tokens=False).input_ids[: len(wanted)]
        right = sum(a == b for a, b in zip(wanted, said, strict=False)) / len(wanted)
        assert answer.scores["decoded"] == pytest.approx(right)
        assert answer.scores["decoded"] <= answer.scores["match"] + 1e-9
        assert answer.scores["forced_em"] == answer.scores["cut_em"] == float(right == 1.0)


@pytest.mark.slow
def test_its_corners_are_the_two_protocols_and_its_controls_are_where_theory_puts_them() -> None:
    rows = outcome("modules_pocket", "memit", 8).columns
    corner = {
        "free/forced/length/match": (outcome("synthetic_pocket", "memit", 8).columns, "reliability"),
        "guided/decoded/natural/exact": (outcome("wild_pocket", "memit", 8).columns, "wild-em"),
    }
    for name, (others, column) in corner.items():
        for row in ("none", "context", "memit"):
            mine = next(c.values for c in rows[row] if c.name == name)
            assert mine == next(c.values for c in others[row] if c.name == column), (name, row)
    found = {row: means(columns) for row, columns in rows.items()}
    assert set(found["target"].values()) == {1.0}
    assert set(found["echo"].values()) == {0.0}
    assert max(found["constant"].values()) < 0.3
    assert min(found["context"].values()) >= 0.75
    assert all(found["none"][name] == 0.0 for name in COMBINATIONS if name.endswith("natural/exact"))


def test_all_three_protocols_have_columns_for_answers_that_are_not_there() -> None:
    for protocol in (Modules(), wild.Wild(), synthetic.Synthetic()):
        for row in protocol.controls:
            assert all(column.values == {} for column in protocol.summarise(row, Answers({}, ())))
