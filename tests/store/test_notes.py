"""Notes beside a record: read whole or refused by name, and of one state of the record only."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from editharness.cli import main
from editharness.errors import RecordError
from editharness.store.notes import Note, find_notes, read_note, standing_notes, write_note
from editharness.store.read import digest
from editharness.testing.records import example_columns, example_record, write_example

ROWS = {"method": example_columns({"PP": 0.9})}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_example(tmp_path, example_record("rome", ROWS), ROWS).parent


def note(run: Path, **changes: Any) -> Note:
    values = {"kind": "reproduced", "record": digest(run / "record.json"), "by": "Åsa Ö.", "date": "2026-01-31"}
    return Note(**{**values, "text": "the same", "evidence": "rome-0123456789", **changes})


def test_what_is_written_is_read(run: Path) -> None:
    wanted = [note(run, kind="challenged"), note(run)]
    paths = [write_note(run, one) for one in wanted]
    assert find_notes(run) == paths
    assert list(standing_notes(run)) == wanted


def test_a_note_about_another_state_says_nothing(run: Path) -> None:
    write_note(run, note(run))
    (run / "record.json").write_text((run / "record.json").read_text() + " ")
    assert standing_notes(run) == []


def test_links_and_other_names_are_no_notes(run: Path, tmp_path: Path) -> None:
    path = write_note(run, note(run))
    (run / "note-link.json").symlink_to(path)
    (run / "note-UP.json").write_text("{}")
    assert find_notes(run) == [path]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "praised"}, "kind: must be one of reproduced, challenged"),
        ({"record": "../../etc"}, "record: must be the sha256"),
        ({"date": "yesterday"}, "date: must be a date"),
        ({"by": " "}, "by: must not be empty"),
        ({"text": ""}, "text: must not be empty"),
        ({"schema": 2}, "schema: only notes of schema 1"),
        ({"score": 1}, "score: is not a field"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], problem: str, run: Path) -> None:
    path = run / "note-x.json"
    path.write_text(json.dumps({"schema": 1, **asdict(note(run)), **change}))
    with pytest.raises(RecordError, match=problem):
        read_note(path)


def test_to_sign_one_must_have_asked_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(run), "--sign", "me"]) == 2
    assert "--rerun K" in capsys.readouterr().err
    assert find_notes(run) == []
