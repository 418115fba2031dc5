from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.leaderboard.board import CONTROLS, Board, BoardRow, Entry
from editharness.leaderboard.rows import boards
from editharness.protocol import Column
from editharness.stats import summarise_column
from editharness.store import Outcomes, RunRecord, read_record
from editharness.testing.records import example_columns, example_record, write_example

Rows = Mapping[str, tuple[Sequence[Column], Mapping[str, str]]]
NONE = example_columns({"PP": 0.02, "PN": 0.02, "NN": 0.02, "NP": 0.02}, seed=1)
ALWAYS = example_columns({"PP": 1.0, "PN": 1.0, "NN": 1.0, "NP": 1.0}, seed=2)


def rows_of(pp: float, pn: float, nn: float | None, np: float | None, *, seed: int = 0, **more: Any) -> Rows:
    shares = {k: v for k, v in {"PP": pp, "PN": pn, "NN": nn, "NP": np, "correct": 0.8}.items() if v is not None}
    return {"method": example_columns(shares, seed=seed, **more), "none": NONE, "target": ALWAYS}


GOOD, BAD = rows_of(0.95, 0.2, 0.9, 0.2, seed=3), rows_of(0.9, 0.7, 0.9, 0.7, seed=4)
WORSE, HALF = rows_of(0.1, 0.6, 0.1, 0.6, seed=5), rows_of(1.0, 0.0, None, None, seed=6)


def record(name: str, rows: Rows, **changes: Any) -> RunRecord:
    return example_record(name, rows, **changes)


def only(*records: RunRecord | Entry) -> Board:
    (board,) = boards(records)
    return board


def named(board: Board, name: str) -> BoardRow:
    (row,) = [row for row in board.rows if row.name == name]
    return row


def with_method(one: RunRecord, **changes: Any) -> RunRecord:
    return replace(one, method=replace(one.method, **changes))


def test_controls_come_first_whatever_was_run() -> None:
    board = only(record("rome", GOOD))
    assert [row.name for row in board.rows] == [*CONTROLS, "rome"]
    assert named(board, "echo").badges == ("not run",)
    assert named(board, "echo").cells == {}
    assert named(board, "none").badges == ()
    assert named(board, "target").value("PP") == 1.0
    assert all(row.rank is None for row in board.rows if row.kind == "control")


def test_methods_are_ordered_by_rectified_efficacy_with_ranges_of_ranks() -> None:
    board = only(record("bad", BAD), record("worse", WORSE), record("good", GOOD), record("also-good", GOOD))
    assert board.ranked_by == "rectified"
    assert [row.name for row in board.methods] == ["also-good", "good", "bad", "worse"]
    assert [row.rank for row in board.methods] == [(1, 2), (1, 2), (3, 3), (4, 4)]


def test_the_protocol_may_name_the_ranked_column_and_lower_may_be_better() -> None:
    records = [record(name, rows) for name, rows in {"good": GOOD, "bad": BAD}.items()]
    by_pn = [replace(r, protocol=replace(r.protocol, ranked_by="PN")) for r in records]
    assert [row.name for row in only(*by_pn).methods] == ["good", "bad"]
    unknown = [replace(r, protocol=replace(r.protocol, ranked_by="no such column")) for r in records]
    assert only(*unknown).ranked_by == "PP"


def test_a_row_without_a_negated_arm_is_never_ranked_with_full_ones() -> None:
    board = only(record("rledit", HALF), record("bad", BAD), record("good", GOOD))
    assert (named(board, "rledit").value("rectified") or 0) > (named(board, "good").value("rectified") or 1)
    assert [row.name for row in board.methods] == ["good", "bad", "rledit"]
    assert named(board, "rledit").rank is None
    assert "not ranked: no NN, NP and 3 more" in named(board, "rledit").badges
    assert only(record("rledit", HALF)).methods[0].rank == (1, 1)


def test_a_method_below_doing_nothing_says_so() -> None:
    board = only(record("worse", WORSE), record("good", GOOD))
    assert named(board, "worse").badges == ("paper", "below none, target")
    assert named(board, "good").badges == ("paper",)


def test_badges_say_what_a_reader_must_know() -> None:
    one = record("rome", GOOD, statuses=Outcomes(47, 1, 2, {"singular": 2}), partial=True)
    one = with_method(
        one, sees=("old", "forms"), preset=replace(one.method.preset, tuned=False, overridden=("layers",))
    )
    one = replace(one, model=replace(one.model, digest_after="f" * 64))
    assert only(one).methods[0].badges == (
        "partial",
        "paper",
        "untuned",
        "set layers",
        "sees old, forms",
        "2 failed",
        "1 skipped",
        "model not restored",
    )
    assert only(one).methods[0].rank is None


@pytest.mark.parametrize(
    "change",
    [
        {"task": "negation_other"},
        {"model": {"digest_before": "0" * 64}},
        {"model": {"revision": "main"}},
        {"data": {"sha256": "0" * 64}},
        {"protocol": {"version": 2}},
        {"protocol": {"hash": "0" * 64}},
        {"schedule": {"asked": "all"}},
        {"schedule": {"edits": 49}},
    ],
    ids=str,
)
def test_runs_that_cannot_be_compared_do_not_share_a_board(change: dict[str, Any]) -> None:
    one = record("rome", GOOD)
    name, value = next(iter(change.items()))
    other = replace(one, **{name: replace(getattr(one, name), **value) if isinstance(value, dict) else value})
    assert len(boards([one, other])) == 2


def test_preset_families_do_not_mix_but_share_what_has_no_preset() -> None:
    paper, sand = record("rome", GOOD), record("rome", BAD, preset="sand")
    plain = with_method(record("ft_m", BAD, preset=""), preset=replace(paper.method.preset, name="", tuned=False))
    made = boards([paper, sand, plain])
    assert [board.key.preset for board in made] == ["paper", "sand"]
    assert [[row.name for row in board.methods] for board in made] == [["rome", "ft_m"], ["ft_m", "rome"]]
    assert named(made[0], "ft_m").badges[0] == "untuned"
    assert [board.key.preset for board in boards([plain])] == [""]


def test_a_control_run_as_a_method_is_a_control_row() -> None:
    context = with_method(record("context", {"method": GOOD["method"]}, preset=""), preset=PRESETLESS)
    board = only(record("rome", BAD), context)
    assert [row.name for row in board.methods] == ["rome"]
    assert named(board, "context").value("PP") == context.rows[0].columns[0].value
    assert [row.name for row in only(context).rows] == list(CONTROLS)


PRESETLESS = replace(record("x", {}).method.preset, name="", source="", tuned=True)


def test_rows_of_one_method_are_told_apart_by_what_differs() -> None:
    one = record("memit", GOOD)
    other = with_method(record("memit", BAD), options={**one.method.options, "prior": False})
    third = with_method(record("memit", WORSE), version="0.2.0")
    assert [row.name for row in only(one, other, third).methods] == [
        "memit (from=editharness 0.1.0)",
        "memit (prior=false, from=editharness 0.1.0)",
        "memit (from=editharness 0.2.0)",
    ]


def test_seeds_are_pooled_from_the_scores_by_case(tmp_path: Path) -> None:
    seeds = [rows_of(0.9, 0.5, 0.9, 0.4, seed=seed) for seed in (0, 1, 2)]
    paths = [write_example(tmp_path, record("rome", rows, seed=seed), rows) for seed, rows in enumerate(seeds)]
    board = only(*(Entry(read_record(path), path.parent) for path in paths))
    (row,) = board.methods
    assert (row.seeds, board.seeds, board.notes) == ((0, 1, 2), (0, 1, 2), ())
    assert "3 seeds" in row.badges
    for index, heading in enumerate(board.columns):
        cells = [summarise_column(rows["method"][0][index], rows["method"][1]) for rows in seeds]
        cell = row.cells[heading.name]
        assert cell.n == sum(c.n for c in cells)
        if cell.value is None:
            continue
        assert cell.value == pytest.approx(sum(c.value or 0 for c in cells) / 3)
        widest = max((c.high or 0) - (c.low or 0) for c in cells)
        assert 0 < (cell.high or 0) - (cell.low or 0) < widest
    assert named(board, "none").cells["PP"].n == 150


def test_seeds_without_scores_get_the_envelope_and_a_note() -> None:
    records = [record("rome", rows_of(0.9, 0.5, 0.9, 0.4, seed=seed), seed=seed) for seed in (0, 1)]
    board = only(*records)
    (row,) = board.methods
    cells = [r.rows[0].columns[0] for r in records]
    assert row.cells["PP"].low == min(c.low or 0 for c in cells)
    assert row.cells["PP"].high == max(c.high or 0 for c in cells)
    assert board.notes == ("intervals over seeds without kept scores are the envelope of the seeds' intervals",)


def test_of_two_runs_of_one_seed_the_newer_counts() -> None:
    old, new = record("rome", BAD, created="2026-01-01T00:00:00Z"), record("rome", GOOD, created="2026-02-01T00:00:00Z")
    board = only(new, old)
    assert board.methods[0].value("PP") == new.rows[0].columns[0].value
    assert board.notes == ("rome: 1 older run(s) of the same seed left out",)


def test_controls_that_disagree_are_noted() -> None:
    other = {**GOOD, "none": example_columns({"PP": 0.5, "PN": 0.2, "NN": 0.2, "NP": 0.2}, seed=9)}
    board = only(record("rome", GOOD), record("memit", other))
    assert board.notes == ("control none differs between runs of seed 0",)
    assert only(record("rome", GOOD), record("memit", BAD)).notes == ()


def test_partial_runs_do_not_speak_for_controls_and_are_not_pooled_with_full_ones() -> None:
    few = {**rows_of(0.9, 0.1, 0.9, 0.1, cases=10), "none": example_columns({"PP": 0.5}, cases=10)}
    board = only(record("rome", GOOD), record("rome", few, partial=True, created="2026-03-01T00:00:00Z"))
    assert named(board, "none").cells["PP"].n == 50
    assert [(row.cells["PP"].n, row.rank) for row in board.methods] == [(50, (1, 1)), (10, None)]
    assert only(record("rome", few, partial=True)).rows[0].badges == ("partial",)


MIXED = (
    record("good", GOOD),
    record("bad", BAD),
    record("bad", BAD, seed=1),
    record("worse", WORSE),
    record("rledit", HALF),
    record("sand", GOOD, preset="sand"),
)


@given(st.permutations(MIXED))
@settings(max_examples=20, deadline=None)
def test_the_order_of_records_does_not_matter(records: list[RunRecord]) -> None:
    assert boards(records) == boards(MIXED)


def test_columns_keep_the_order_of_the_records_whatever_the_controls_have() -> None:
    order = [column.name for column in GOOD["method"][0]]
    short = {**GOOD, "none": (NONE[0][2:], NONE[1])}
    board = only(record("rome", short), record("memit", BAD))
    assert [heading.name for heading in board.columns] == order
    assert board.columns[0].n == 50
    assert board.columns[order.index("unchanged")].n == 0


def test_no_records_no_boards_and_a_record_without_rows_is_shown() -> None:
    assert boards([]) == []
    board = only(record("rome", {}))
    assert board.columns == ()
    assert board.ranked_by is None
    assert board.methods[0].rank is None
