from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from editharness.judging.comparing import agreements, cohen_kappa, shares
from editharness.stats import wilson
from editharness.store.judgements import Judged, Judgements

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(pairs)
def test_kappa_is_that_of_scikit_learn(drawn: list[tuple[bool, bool]]) -> None:
    first, second = [a for a, _ in drawn], [b for _, b in drawn]
    mine = cohen_kappa(drawn)
    if len({*first, *second}) == 1:
        assert mine is None
    else:
        assert mine == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_of_nothing() -> None:
    assert cohen_kappa([]) is None


def made(name: str, labels: list[str]) -> Judgements:
    verdicts = [
        Judged("rome", "wild_pocket", "positive", "final", f"case-{n}", 0, f"digest-{n}", label)
        for n, label in enumerate(labels)
    ]
    return Judgements(name, "rules", {}, "s", verdicts=verdicts)


def test_shares_with_bounds() -> None:
    (share,) = shares([made("rules", ["correct"] * 6 + ["incorrect"] * 2 + ["unscored"] * 2)], {})
    assert (share.value, share.n, share.unscored) == (0.75, 8, 2)
    assert (share.low, share.high) == pytest.approx(wilson(6, 8))
    assert share.bounds == pytest.approx((0.6, 0.8))


def test_nothing_scored_has_no_share_but_bounds() -> None:
    (share,) = shares([made("rules", ["unscored"] * 3)], {})
    assert (share.value, share.low, share.high, share.n, share.bounds) == (None, None, None, 0, (0.0, 1.0))


def test_cases_of_one_subject_widen_the_interval() -> None:
    labels = ["correct"] * 4 + ["incorrect"] * 4
    alone, together = (
        shares([made("rules", labels)], subjects)[0]
        for subjects in ({}, {f"case-{n}": f"subject-{n // 4}" for n in range(8)})
    )
    assert alone.low is not None
    assert together.low is not None
    assert together.low < alone.low


def test_judges_stand_side_by_side_and_agree_over_what_both_scored() -> None:
    first = made("one", ["correct", "correct", "incorrect", "unscored", "incorrect"])
    second = made("two", ["correct", "incorrect", "incorrect", "correct", "unscored"])
    assert [share.judge for share in shares([first, second], {})] == ["one", "two"]
    (found,) = agreements([first, second])
    assert (found.n, found.agree) == (3, pytest.approx(2 / 3))
    assert found.kappa == pytest.approx(cohen_kappa_score([1, 1, 0], [1, 0, 0]))


def test_judges_without_a_common_answer() -> None:
    (found,) = agreements([made("one", ["unscored"]), made("two", ["correct"])])
    assert (found.n, found.agree, found.kappa) == (0, None, None)


def scores(name: str, found: list[float | None]) -> Judgements:
    verdicts = [
        Judged("rome", "wild_pocket", "positive", "final", f"case-{n}", 0, f"digest-{n}",
               "unscored" if one is None else "graded", score=one)
        for n, one in enumerate(found)
    ]  # fmt: skip
    return Judgements(name, "bertscore", {}, "s", verdicts=verdicts, graded=True)


def test_scores_have_a_mean_with_a_bootstrap_interval_and_bounds() -> None:
    found = [0.2, 0.4, 0.6, 0.8, None]
    (share,) = shares([scores("bs", found)], {})
    assert share.graded
    assert (share.value, share.n, share.unscored) == (pytest.approx(0.5), 4, 1)
    low, high = share.low, share.high
    assert low is not None
    assert high is not None
    assert 0.2 <= low < 0.5 < high <= 0.8
    assert share.bounds == pytest.approx((0.4, 0.6))


def test_a_score_agrees_with_no_verdict() -> None:
    verdicts = [made("one", ["correct", "incorrect"]), made("two", ["correct", "correct"])]
    graded = [scores("bs", [1.0, 0.0]), scores("other", [1.0, 0.0])]
    assert [(a.first, a.second) for a in agreements([*graded, *verdicts])] == [("one", "two")]
    assert agreements([*graded, verdicts[0]]) == []
