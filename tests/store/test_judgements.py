"""Verdict files and stored answers: whole, strict, and named where they are wrong."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from editharness.errors import RecordError
from editharness.store.judgements import (
    Judged,
    Judgements,
    find_judgements,
    read_judgements,
    write_judgements,
)
from editharness.store.samples import Sample, read_samples


def gz(data: bytes) -> bytes:
    """The same bytes every time, so that tests that run side by side have the same names."""
    return gzip.compress(data, mtime=0)


VERDICT = Judged("rome", "wild_pocket", "positive", "final", "case-1", 0, "d" * 64, "correct", "why", "raw \u2028 ✓")
MADE = Judgements("big", "openai", {"model": "m"}, "s" * 64, {"gold": (4, 4)}, "", (VERDICT,))
SAMPLE = {"row": "rome", "task": "t", "arm": "a", "moment": "final", "case": "c", "item": 0, "scores": {}, "text": "x"}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_judgements(tmp_path, MADE)
    assert path.name == "judgements-big.jsonl"
    again = read_judgements(path)
    assert (again.name, again.kind, again.identity, again.samples) == ("big", "openai", {"model": "m"}, "s" * 64)
    assert again.sanity == {"gold": (4, 4)}
    assert list(again.verdicts) == [VERDICT]
    assert find_judgements(tmp_path) == [path]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


GRADED = replace(MADE, graded=True, verdicts=(replace(VERDICT, label="graded", score=0.25),))


def test_scores_are_read_back_and_old_files_are_verdicts(tmp_path: Path) -> None:
    again = read_judgements(write_judgements(tmp_path, GRADED))
    assert again.graded
    assert list(again.verdicts) == list(GRADED.verdicts)
    path = write_judgements(tmp_path, MADE)
    head, line = map(json.loads, path.read_text(encoding="utf-8").strip().split("\n"))
    del head["graded"]
    assert "score" not in line
    path.write_text(f"{json.dumps(head)}\n{json.dumps(line)}", encoding="utf-8")
    assert not read_judgements(path).graded


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"label": "correct"}, "line 2.label: must be one of graded, unscored"),
        ({"score": 1.5}, r"line 2.score: must lie in \[0, 1\], not 1.5"),
        ({"score": None}, "line 2.score: must be a number"),
        ({"label": "unscored"}, "line 2.score: is not a field"),
    ],
)
def test_a_wrong_score_is_named(changes: dict[str, object], problem: str, tmp_path: Path) -> None:
    path = write_judgements(tmp_path, GRADED)
    head, line = map(json.loads, path.read_text(encoding="utf-8").strip().split("\n"))
    path.write_text(f"{json.dumps(head)}\n{json.dumps({**line, **changes})}", encoding="utf-8")
    with pytest.raises(RecordError, match=problem):
        read_judgements(path)


@pytest.mark.parametrize("name", ["", "../x", "a b", ".hidden", "x" * 61, "a/b"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="judge name"):
        write_judgements(tmp_path, Judgements(name, "k", {}, "s"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "changes", "problem"),
    [
        (0, {"format": 2}, "line 1.format: only 1 can be read here"),
        (0, {"extra": 1}, "line 1.extra: is not a field"),
        (0, {"name": "other"}, "holds the verdicts of 'other'"),
        (0, {"sanity": {"gold": [4]}}, r"line 1.sanity.gold: must be \[right, asked\]"),
        (0, {"sanity": {"gold": [4, "4"]}}, "line 1.sanity.gold"),
        (1, {"label": "yes"}, "line 2.label: must be one of correct, incorrect, unscored"),
        (1, {"item": -1}, "line 2.item"),
    ],
)
def test_a_wrong_file_is_named(line: int, changes: dict[str, object], problem: str, tmp_path: Path) -> None:
    path = write_judgements(tmp_path, MADE)
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").split("\n") if text]
    lines[line] = {**lines[line], **changes}
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    with pytest.raises(RecordError, match=problem) as caught:
        read_judgements(path)
    assert "judgements-big.jsonl" in str(caught.value)


def packed(folder: Path, data: bytes) -> Path:
    (folder / "samples.jsonl.gz").write_bytes(data)
    return folder


def test_stored_answers_are_read(tmp_path: Path) -> None:
    lines = [SAMPLE, {**SAMPLE, "text": None, "item": 3}]
    packed(tmp_path, gz("\n".join(map(json.dumps, lines)).encode()))
    assert list(read_samples(tmp_path)) == [
        Sample("rome", "t", "a", "final", "c", 0, "x"),
        Sample("rome", "t", "a", "final", "c", 3, None),
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"not gzip", "not a whole gzip file"),
        (gz(json.dumps(SAMPLE).encode())[:-12], "not a whole gzip file"),
        (gz(b"{]"), "not JSON"),
        (gz(json.dumps({**SAMPLE, "text": 3}).encode()), "line 1.text: must be text"),
        (gz(json.dumps({**SAMPLE, "more": 3}).encode()), "line 1.more: is not a field"),
        (gz(b" " * (2**20 + 10)), "a line is longer than 1 MiB"),
    ],
)
def test_stored_answers_that_cannot_be_read(data: bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=problem) as caught:
        list(read_samples(packed(tmp_path, data)))
    assert "samples.jsonl.gz" in str(caught.value)


def test_a_run_without_answers(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="missing, so that no answer can be judged"):
        list(read_samples(tmp_path))
