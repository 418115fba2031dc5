"""`editharness strata` on a committed run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.cli import main

RUN = str(next((Path(__file__).parents[2] / "leaderboards" / "results" / "negation_pocket").glob("memit-*")))


def test_the_table_has_both_parts_of_each_mark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strata", RUN, "--column", "PP", "--column", "unchanged", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["mark"] for row in rows} >= {"answer_in_subject", "untrained"}
    assert {row["column"] for row in rows} == {"PP", "unchanged"}
    assert {row["n"] + row["n_without"] for row in rows if row["column"] == "PP"} == {100}


def test_a_column_that_is_not_there_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strata", RUN, "--column", "rectifed"]) == 2
    assert "did you mean 'rectified'" in capsys.readouterr().err
