from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from editharness.leaderboard.terminal import show
from editharness.stats import ColumnScore
from editharness.store import RowScores, RunRecord
from editharness.testing.records import example_columns, example_record

SHARES = {"PP": 0.9, "PN": 0.5, "NN": 0.9, "NP": 0.4, "prob": 0.9, "contained": 0.2}
REST = {"generalization": 0.6, "unchanged": 0.9, "correct": 0.8}
ROWS = {
    "method": example_columns({**SHARES, **REST}),
    "none": example_columns({"PP": 0.1, "PN": 0.1, "NN": 0.1, "NP": 0.1}),
    "none*": example_columns({"PP": 1.0, "PN": 0.4}, cases=34),
}
COLUMNS = [column.name for column in ROWS["method"][0]]


def shown(*records: RunRecord, width: int = 120, encoding: str = "utf-8", terminal: bool = False) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show(records, Console(file=file, width=width, force_terminal=terminal, _environ={"TERM": "xterm-256color"}))
    file.flush()
    assert isinstance(file.buffer, io.BytesIO)
    return file.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(("width", "tables"), [(200, 1), (120, 2), (80, 3)])
def test_a_board_fits_the_width_in_few_tables(width: int, tables: int) -> None:
    text = shown(example_record("rome", ROWS), width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert len(re.findall(r"^ *# +row", text, re.MULTILINE)) == tables
    heads = [line for line in text.splitlines() if re.search("[↑↓]", line)]
    assert re.findall(r"(\S+) [↑↓]", " ".join(heads)) == COLUMNS
    assert "…" not in text


@pytest.mark.parametrize("width", [1, 20, 40, 60, 100, 140, 300])
def test_any_width_shows_every_column(width: int) -> None:
    text = shown(example_record("rome", ROWS), width=width)
    assert "rome" in text.replace("\n", "") or width < 20


def test_the_first_table_ends_with_the_ranked_column() -> None:
    text = shown(example_record("rome", ROWS), width=120)
    heads = [line for line in text.splitlines() if re.search("[↑↓]", line)]
    assert heads[0].rstrip().endswith("rectified ↑")
    assert heads[1].split()[0] == "prob"
    assert "s/edit" in text
    assert "1.23" in text


def test_cells_show_value_interval_and_n() -> None:
    score = ColumnScore("PP", "says the target", "higher", 0.93, 0.8612, 0.9701, 50)
    record = replace(example_record("rome"), rows=(RowScores("method", "method", (score,)),))
    text = shown(record)
    lines = text.splitlines()
    assert any(re.fullmatch(r"\s*1\s+rome\s+93\.0\s+1\.23", line.rstrip()) for line in lines)
    assert any(re.fullmatch(r"\s+paper\s+\[86,97\]", line.rstrip()) for line in lines)
    assert "n=50" in text
    assert "PP: says the target" in text


def test_an_n_that_is_not_the_columns_stands_in_its_row() -> None:
    text = shown(example_record("rome", ROWS), width=200)
    label = next(line for line in text.splitlines() if line.strip().startswith("n=34"))
    assert label.count("n=") == 1
    assert text.count("n=50") == len(COLUMNS)


def test_the_caption_says_what_was_compared() -> None:
    text = " ".join(shown(example_record("rome", ROWS, seed=7)).split())
    for fact in ("model pocket", "data pocket (dddddddd)", "protocol negation version 1 (bbbbbbbb)", "schedule single"):
        assert fact in text
    assert "50 edits · seed 7 · preset paper" in text
    assert "ranked by rectified" in text


def test_output_that_is_no_terminal_is_plain_and_a_terminal_gets_colour_unless_told_not_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = example_record("rome", ROWS)
    assert "\x1b" not in shown(record)
    assert "\x1b[" in shown(record, terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    file = io.StringIO()
    show([record], Console(file=file, width=120, force_terminal=True))
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", file.getvalue())


def test_a_console_without_arrows_gets_ascii() -> None:
    text = shown(example_record("rome", ROWS), encoding="ascii")
    assert "PP ^" in text
    assert "PN v" in text
    assert text.isascii()
    assert "?" not in text


EVIL = "\x1b]8;;http://evil\x1b\\[red]x[/red]\x1b[2J\u202e:smile:[link=http://evil]y[/link]\r\n|<b>"


def poisoned(name: str) -> RunRecord:
    score = ColumnScore(name, name, "higher", 0.5, 0.4, 0.6, 50)
    record = example_record(name, rows={}, notes=(name,), task=name, command=name)
    rows = (RowScores("method", "method", (score,)), RowScores(name or "x", "control", (score,)))
    method = replace(record.method, sees=(name,), preset=replace(record.method.preset, name=name))
    model, data = replace(record.model, name=name, revision=name), replace(record.data, name=name)
    protocol = replace(record.protocol, name=name, hash=name)
    return replace(record, rows=rows, method=method, model=model, data=data, protocol=protocol)


def test_names_cannot_colour_link_or_move() -> None:
    text = shown(poisoned(EVIL), width=300)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\r" not in text
    assert "[red]x[/red]" in text
    assert ":smile:" in text
    coloured = shown(poisoned(EVIL), width=300, terminal=True)
    assert not re.search(r"\x1b(?!\[[0-9;]*m)", coloured)


@given(st.text(max_size=30), st.sampled_from(["utf-8", "ascii", "latin-1"]))
@settings(max_examples=20, deadline=None)
def test_any_name_can_be_shown(name: str, encoding: str) -> None:
    text = shown(poisoned(name), encoding=encoding)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
