"""Paired differences against direct computation; what cannot be compared is refused by name."""

from __future__ import annotations

from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.comparing import compare, read_side
from editharness.comparing.pairs import mcnemar
from editharness.errors import RecordError, UnknownNameError
from editharness.testing.records import example_columns, example_record, write_example

CASES = 60


def side(root: Path, method: str, share: float, seed: int, cases: int = CASES, **changes: object) -> Path:
    """A run whose method is right in about `share` of the cases."""
    rows = {
        method: example_columns({"PP": share, "PN": 0.4}, cases=cases, seed=seed),
        "none": example_columns({"PP": 0.1, "PN": 0.1}, cases=cases, seed=9),
    }
    record = replace(example_record(method, rows), **changes)  # type: ignore[arg-type]
    record = replace(record, rows=(replace(record.rows[0], kind="method"), *record.rows[1:]))
    return write_example(root / method, record, rows).parent


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return side(tmp_path, "rome", 0.5, 1), side(tmp_path, "memit", 0.8, 2)


def test_differences_are_those_of_the_cases(pair: tuple[Path, Path]) -> None:
    a, b = (read_side(path) for path in pair)
    made = compare(a, b)
    pp = next(column for column in made.columns if column.name == "PP")
    left, right = a.values("PP")[0], b.values("PP")[0]
    gaps = np.array([right[case] - left[case] for case in left])
    assert pp.n == CASES
    assert (pp.a, pp.b) == (pytest.approx(np.mean(list(left.values()))), pytest.approx(np.mean(list(right.values()))))
    assert pp.difference == pytest.approx(gaps.mean())
    assert (pp.only_a, pp.only_b) == ((gaps == -1).sum(), (gaps == 1).sum())
    assert next(column for column in made.columns if column.name == "PP-PN").p is None


def test_the_interval_is_that_of_a_bootstrap_over_subjects(pair: tuple[Path, Path]) -> None:
    a, b = (read_side(path) for path in pair)
    pp = next(column for column in compare(a, b).columns if column.name == "PP")
    left, right, rng = a.values("PP")[0], b.values("PP")[0], np.random.default_rng(7)
    subjects = sorted(set(a.scores.clusters.values()))
    by_subject = [[right[c] - left[c] for c, s in a.scores.clusters.items() if s == subject] for subject in subjects]
    drawn = rng.integers(len(subjects), size=(4000, len(subjects)))
    means = [np.concatenate([by_subject[i] for i in one]).mean() for one in drawn]
    assert pp.low == pytest.approx(np.quantile(means, 0.025), abs=0.03)
    assert pp.high == pytest.approx(np.quantile(means, 0.975), abs=0.03)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    n = only_a + only_b
    tail = sum(comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n
    assert mcnemar(only_a, only_b) == pytest.approx(min(1.0, 2 * tail))


def test_a_run_does_not_differ_from_itself(pair: tuple[Path, Path]) -> None:
    made = compare(read_side(pair[0]), read_side(pair[0]))
    assert {column.difference for column in made.columns if column.n} == {0.0}
    assert {column.p for column in made.columns if column.p is not None} == {1.0}


def test_a_control_is_compared_by_name(pair: tuple[Path, Path]) -> None:
    made = compare(*(read_side(path, "none") for path in pair))
    assert all(column.difference == 0 for column in made.columns if column.n)
    with pytest.raises(UnknownNameError, match="unknown row 'nine': did you mean 'none'"):
        read_side(pair[0], "nine")


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("task", {"task": "wild_pocket"}),
        ("protocol", {"protocol": replace(example_record().protocol, hash="9" * 64)}),
        ("data", {"data": replace(example_record().data, sha256="9" * 64)}),
        ("model", {"model": replace(example_record().model, digest_before="9" * 64)}),
        ("schedule", {"schedule": replace(example_record().schedule, asked="all")}),
        ("edits", {"schedule": replace(example_record().schedule, edits=9)}),
    ],
    ids=str,
)
def test_what_is_not_comparable_is_refused_by_the_field(field: str, changes: dict[str, object], tmp_path: Path) -> None:
    a, b = read_side(side(tmp_path, "rome", 0.5, 1)), read_side(side(tmp_path, "memit", 0.5, 2, **changes))
    with pytest.raises(RecordError, match=f"not comparable: {field} differs"):
        compare(a, b)
    if field in ("model", "schedule", "edits"):
        assert compare(a, b, [field]).allowed == (field,)
    else:
        with pytest.raises(UnknownNameError, match=f"unknown field '{field}'"):
            compare(a, b, [field])


def test_other_cases_are_refused_or_the_common_ones_compared(tmp_path: Path) -> None:
    a, b = read_side(side(tmp_path, "rome", 0.5, 1)), read_side(side(tmp_path, "memit", 0.5, 2, cases=40))
    with pytest.raises(RecordError, match=r"not comparable: cases differs \(60 cases and 40 cases\)"):
        compare(a, b)
    assert {column.n for column in compare(a, b, ["cases"]).columns} == {0, 40}


def test_one_run_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="2 records stand below it"):
        read_side(tmp_path)
    (pair[0] / "scores.jsonl").unlink()
    with pytest.raises(RecordError, match=r"scores\.jsonl is missing"):
        read_side(pair[0])
