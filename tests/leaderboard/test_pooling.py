"""What an index keeps of pooled seeds changes no number, and is used only for the very same scores."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from editharness.leaderboard.board import Board
from editharness.leaderboard.rows import boards
from editharness.leaderboard.show import load, load_boards, show_records
from editharness.testing.records import example_columns, example_record, example_series, write_example

SHARES = {"PP": 0.9, "PN": 0.5, "NN": 0.9, "NP": 0.4}


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    for seed in range(3):
        rows = {"method": example_columns(SHARES, seed=seed), "none": example_columns({"PP": 0.1}, seed=seed)}
        series = example_series(decay=0.1 * seed)
        write_example(tmp_path / "runs", example_record("rome", rows, seed=seed, series=series), rows, series)
    time.sleep(0.1)
    return tmp_path / "runs"


def plain(runs: Path) -> list[Board]:
    """Without what is kept of pooled scores."""
    return boards(load([runs]))


def test_what_is_kept_changes_no_number(runs: Path) -> None:
    wanted = plain(runs)
    assert [load_boards([runs]) for _ in range(2)] == [wanted, wanted]
    assert wanted[0].rows[-1].series


def test_scores_pooled_before_are_not_read_again(runs: Path, tmp_path: Path) -> None:
    """Read from another place, at another time: the content decides."""
    wanted = load_boards([runs])
    with closing(sqlite3.connect(tmp_path / "cache" / "records.sqlite")) as index, index:
        index.execute("UPDATE pooled SET told = '[0.125, 0.0, 1.0]'")
    shutil.copytree(runs, tmp_path / "copied")
    (board,) = load_boards([tmp_path / "copied"])
    assert board.rows[-1].value("PP") == 0.125 != wanted[0].rows[-1].value("PP")


def test_changed_scores_are_pooled_anew(runs: Path) -> None:
    before = load_boards([runs])
    path = next(runs.glob("*/scores.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line.get("column") == "PP":
            line["values"] = {case: 1.0 - value for case, value in line["values"].items()}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert load_boards([runs]) == plain(runs)
    assert load_boards([runs]) != before


def test_scores_that_are_gone_give_the_envelope(runs: Path) -> None:
    load_boards([runs])
    next(runs.glob("*/scores.jsonl")).unlink()
    (board,) = load_boards([runs])
    assert [board] == plain(runs)
    assert any("envelope" in note for note in board.notes)


@pytest.mark.slow
def test_a_thousand_records_are_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 boards of five rows; benchmarks/boards.py times the command with committed records."""
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    rows = {"method": example_columns(SHARES), **dict.fromkeys(("none", "context"), example_columns({"PP": 0.1}))}
    for number in range(1000):
        folder = tmp_path / "runs" / f"run-{number}"
        folder.mkdir(parents=True)
        record = example_record(f"method-{number % 5}", rows, edits=1 + number // 5)
        (folder / "record.json").write_text(json.dumps(record.to_json()))
    took = []
    for _ in range(2):
        start = time.process_time()
        show_records([tmp_path / "runs"])
        took.append(time.process_time() - start)
    assert took[0] < 8  # about 2 on an idle core
    assert took[1] < 5  # about 1
