from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.protocol import Column
from editharness.stats import bootstrap_mean, design_effect, summarise_column, wilson

SHARES = st.floats(0, 1)


def by_case(values: list[float]) -> dict[str, float]:
    return {f"case-{i}": value for i, value in enumerate(values)}


# published values of Wilson's interval without continuity correction (Newcombe 1998, table I, method 3)
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_values(successes: int, n: int, low: float, high: float) -> None:
    assert list(wilson(successes, n)) == pytest.approx([low, high], abs=5e-5)


@given(st.integers(1, 5000), st.data())
@settings(deadline=None, max_examples=50)
def test_wilson_holds_the_share_and_mirrors(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert low < high
    mirrored = wilson(n - successes, n)
    assert [1 - mirrored[1], 1 - mirrored[0]] == pytest.approx([low, high], abs=1e-12)


def test_wilson_of_nothing_says_nothing_and_refuses_nonsense() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    for successes, n in [(-1, 3), (4, 3), (0, math.inf), (math.nan, 3)]:
        with pytest.raises(ValueError):
            wilson(successes, n)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(1, 5), st.randoms())
@settings(deadline=None, max_examples=50)
def test_bootstrap_is_repeatable_and_blind_to_order(values: list[float], per: int, rng: random.Random) -> None:
    scores = by_case(values)
    clusters = {case: f"subject-{i // per}" for i, case in enumerate(scores)}
    mean, low, high = bootstrap_mean(scores, clusters, samples=100)
    assert mean == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert -1 - 1e-9 <= low <= mean <= high <= 1 + 1e-9
    shuffled = list(scores.items())
    rng.shuffle(shuffled)
    assert bootstrap_mean(dict(shuffled), clusters, samples=100) == (mean, low, high)


def test_bootstrap_matches_the_normal_interval_for_many_independent_cases() -> None:
    rng = random.Random(0)
    scores = by_case([rng.gauss(0.2, 0.3) for _ in range(2000)])
    mean, low, high = bootstrap_mean(scores, {})
    spread = math.sqrt(sum((v - mean) ** 2 for v in scores.values()) / 2000 / 2000)
    assert (high - low) / (2 * 1.96 * spread) == pytest.approx(1, abs=0.06)


def test_bootstrap_draws_subjects_not_cases() -> None:
    """Ten copies of each subject's answer hold no more than one answer each."""
    single = by_case([float(i % 2) for i in range(20)])
    copies = {f"{case}-{k}": value for case, value in single.items() for k in range(10)}
    clusters = {case: case.rsplit("-", 1)[0] for case in copies}
    assert bootstrap_mean(copies, clusters) == pytest.approx(bootstrap_mean(single, {}))
    _, low, high = bootstrap_mean(copies, {})
    _, wide_low, wide_high = bootstrap_mean(copies, clusters)
    assert wide_high - wide_low > 2.5 * (high - low)


def test_a_case_without_a_cluster_stands_alone() -> None:
    scores = {"a": 1.0, "b": 0.0}
    assert bootstrap_mean(scores, {"b": "a"}) == bootstrap_mean(scores, {"a": "x", "b": "y"})


def test_bootstrap_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap_mean({}, {})


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 6))
@settings(deadline=None, max_examples=50)
def test_design_effect_is_at_least_one(values: list[bool], per: int) -> None:
    scores = by_case([float(v) for v in values])
    clusters = {case: str(i // per) for i, case in enumerate(scores)}
    assert 1 <= design_effect(scores, clusters) <= len(scores)
    assert design_effect(scores, {}) == 1


def test_copies_of_an_answer_do_not_narrow_a_proportion() -> None:
    single = by_case([float(i % 4 == 0) for i in range(40)])
    copies = {f"{case}-{k}": value for case, value in single.items() for k in range(5)}
    clusters = {case: case.rsplit("-", 1)[0] for case in copies}
    one = summarise_column(Column("PP", "", "higher", single), {})
    many = summarise_column(Column("PP", "", "higher", copies), clusters)
    assert (one.n, many.n) == (40, 200)
    assert None not in (one.low, one.high, many.low, many.high)
    assert many.low == pytest.approx(one.low, abs=0.01)
    assert many.high == pytest.approx(one.high, abs=0.01)


@given(st.lists(SHARES, max_size=30), st.booleans(), st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_a_column_has_a_value_inside_its_interval_or_none(values: list[float], proportion: bool, per: int) -> None:
    scores = by_case(values)
    clusters = {case: str(i // per) for i, case in enumerate(scores)}
    score = summarise_column(Column("x", "an x", "lower", scores, proportion=proportion), clusters)
    assert (score.name, score.title, score.better, score.n) == ("x", "an x", "lower", len(values))
    if not values:
        assert (score.value, score.low, score.high) == (None, None, None)
    else:
        assert score.value is not None
        assert score.low is not None
        assert score.high is not None
        assert -1 <= score.low <= score.value <= score.high <= 1


def test_answers_that_are_all_alike_are_not_certain() -> None:
    """A bootstrap of equal differences has no width; ten cases cannot say that much."""
    score = summarise_column(Column("PP-PN", "", "higher", by_case([1.0] * 10), proportion=False), {})
    assert score.value == score.high == 1.0
    assert score.low is not None
    assert 0.3 < score.low < 0.6
    nothing = summarise_column(Column("PP-PN", "", "higher", by_case([0.0] * 10), proportion=False), {})
    assert nothing.low == -(nothing.high or 0) < 0


def test_a_proportion_with_scores_in_between_stays_in_its_range() -> None:
    """A mean over two paraphrases is 0, 0.5 or 1: Wilson's interval is wider than the bootstrap's, never below 0."""
    mixed = by_case([0.0, 0.5, 1.0, 1.0] * 5)
    score = summarise_column(Column("generalization", "", "higher", mixed), {})
    assert (score.low, score.high) == wilson(12.5, 20)
    _, low, high = bootstrap_mean(mixed, {})
    assert score.low is not None
    assert score.high is not None
    assert score.low < low < high < score.high
    nothing = summarise_column(Column("generalization", "", "higher", by_case([0.0] * 20)), {})
    assert (nothing.low, nothing.high) == wilson(0, 20)


@pytest.mark.parametrize(("value", "proportion"), [(math.nan, False), (math.inf, False), (1.5, True), (-0.1, True)])
def test_impossible_scores_are_refused_by_case(value: float, proportion: bool) -> None:
    with pytest.raises(ValueError, match="'bad'"):
        summarise_column(Column("x", "", "higher", {"good": 1.0, "bad": value}, proportion=proportion), {})
