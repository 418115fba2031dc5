"""What is shown over the number of edits: tables and grids, all from records on disk."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from editharness.errors import UnknownNameError
from editharness.leaderboard.board import Entry
from editharness.leaderboard.grid import grid_table, grids
from editharness.leaderboard.markdown import render, render_tables
from editharness.leaderboard.rows import boards
from editharness.leaderboard.series import series_tables
from editharness.leaderboard.show import as_text, grids_as_text
from editharness.leaderboard.tables import Cell
from editharness.store import HealthFacts, RunRecord, ScheduleFacts, not_so, read_record, read_scores
from editharness.testing.records import example_columns, example_record, example_series, write_example

ROWS = {"method": example_columns({"PP": 0.9, "PN": 0.5, "NN": 0.9, "NP": 0.4}), "none": example_columns({"PP": 0.1})}
SERIES = example_series(decay=0.2)


def record(method: str = "memit", **changes: object) -> RunRecord:
    return example_record(method, ROWS, series=SERIES, **changes)  # type: ignore[arg-type]


def test_a_line_has_a_row_per_method_and_a_matrix_a_table_per_method() -> None:
    (board,) = boards([record("memit"), record("rome"), example_record("emmet", ROWS)])
    efficacy, loss, *matrices = series_tables(board)
    assert [line[0] for line in efficacy.rows] == ["memit", "rome"]
    assert list(efficacy.heads) == ["row", "10 edits\nn=10", "20 edits\nn=20", "30 edits\nn=30"]
    assert [cell.value for cell in efficacy.rows[0][1:] if isinstance(cell, Cell)] == ["100.0", "90.0", "80.0"]
    assert [table.title for table in matrices] == ["retention of memit", "retention of rome"]
    assert [[c.value if isinstance(c, Cell) else c for c in line] for line in matrices[0].rows] == [
        ["10 edits", "100.0", "", ""],
        ["20 edits", "80.0", "100.0", ""],
        ["30 edits", "60.0", "80.0", "100.0"],
    ]
    assert loss.rows[0][1] == Cell("2.50", "[2.00, 3.00]")  # nats are no per cent


def test_seeds_are_pooled_point_by_point_over_their_cases(tmp_path: Path) -> None:
    entries = []
    for seed, decay in enumerate((0.0, 0.4)):
        one = example_record("memit", ROWS, seed=seed, series=(own := example_series(decay=decay)))
        path = write_example(tmp_path, replace(one, schedule=ScheduleFacts("single", "single", 50, seed)), ROWS, own)
        entries.append(Entry(read_record(path), path.parent))
    (board,) = boards(entries)
    (row,) = board.methods
    last = next(series for series in row.series if series.name == "retention").points[-3]
    assert (last.edits, last.cohort, last.n) == (30, (1, 10), 20)
    assert last.value == pytest.approx((1.0 + 0.2) / 2)


def test_series_are_recomputed_from_their_scores(tmp_path: Path) -> None:
    path = write_example(tmp_path, record(), ROWS, SERIES)
    scores = read_scores(path.parent)
    assert scores is not None
    assert list(not_so(read_record(path), scores)) == []
    raw = json.loads(path.read_text())
    raw["rows"][0]["series"][1]["points"][1].update(value=0.9, high=0.99)
    path.write_text(json.dumps(raw))
    ((place, problem),) = not_so(read_record(path), scores)
    assert place == "rows[0].series[1].points[1]"
    assert problem.startswith("row method, series retention, after 20 edits, cohort (1, 10): the record says value 0.9")


@pytest.mark.parametrize("form", ["table", "markdown", "json"])
def test_every_format_shows_the_series(form: str) -> None:
    made = boards([record()])
    told = as_text(made, form, "editharness leaderboard", series=True)
    assert "retention" in told
    assert "text loss" in told
    if form != "json":
        assert "retention" not in as_text(made, form, "editharness leaderboard")


def test_series_are_shown_unasked_where_they_make_curves() -> None:
    flat = [replace(SERIES[2], points=SERIES[2].points[:2])]
    assert "text loss" in as_text(boards([record()]), "table", "x", series=None)
    assert "text loss" not in as_text(
        boards([example_record("memit", ROWS, series=flat)]), "markdown", "x", series=None
    )


def test_a_hostile_name_stays_text_in_tables() -> None:
    evil = "<script>|[x](y)\x1b[31m"
    (board,) = boards([record(evil)])
    told = render([board], "x", series=True)
    assert "<script>" not in told[: told.index("### How each row was made")]  # below, commands stand in code blocks


def test_a_collapse_is_a_badge() -> None:
    one = replace(record(), health=HealthFacts(16, 8.3, {"positive": 300}, stopped=True))
    two = replace(record("rome"), health=HealthFacts(16, 8.3, {"positive": 300, "negated": 20}))
    (board,) = boards([one, two])
    badges = {row.name: row.badges for row in board.methods}
    assert "collapsed after 300" in badges["memit"]
    assert {"collapsed after 20 (negated)", "collapsed after 300 (positive)"} <= set(badges["rome"])


def runs_of_a_grid() -> list[RunRecord]:
    cells = [("sequential", 10), ("batch:10", 10), ("batch:10", 50), ("all", 50)]
    found = []
    for schedule, edits in cells:
        one = record("memit", edits=edits)
        found.append(
            replace(one, id=f"memit-{edits}-{schedule[:3]}", schedule=ScheduleFacts(schedule, schedule, edits, 0))
        )
    found[-1] = replace(found[-1], partial=True)
    return found


def test_a_grid_has_batch_sizes_below_each_other_and_edits_side_by_side() -> None:
    (grid,) = grids(boards(runs_of_a_grid()))
    table = grid_table(grid)
    assert list(table.heads) == ["batch size", "10 edits", "50 edits"]
    assert [line[0] for line in table.rows] == ["1", "10", "all at once"]
    assert [[bool(c.value) for c in line[1:] if isinstance(c, Cell)] for line in table.rows] == [
        [True, False], [True, True], [False, True],
    ]  # fmt: skip
    assert table.notes == ["all at once, 50 edits: partial"]
    assert "rectified" in table.meaning
    (other,) = grids(boards(runs_of_a_grid()), "PP")
    assert other.column.name == "PP"
    with pytest.raises(UnknownNameError, match=r"column 'PX'.*PP"):
        grids(boards(runs_of_a_grid()), "PX")


@pytest.mark.parametrize(
    ("form", "start"), [("markdown", "<!-- Generated by `me`"), ("json", "["), ("table", "\nmemit")]
)
def test_a_grid_as_a_file(form: str, start: str) -> None:
    found = grids(boards(runs_of_a_grid()))
    text = grids_as_text(found, form, "me")
    assert text.startswith(start)
    if form == "json":
        assert [cell["schedule"] for cell in json.loads(text)[0]["cells"]] == [
            "sequential", "batch:10", "batch:10", "all",
        ]  # fmt: skip
    assert render_tables([grid_table(grid) for grid in found], "me").count("| batch size") == 1
