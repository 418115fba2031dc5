"""Which runs are verified, and that whatever stands in their files is never more than a finding."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.verifying.submission import FILES, RESULTS, Submission, committed, here

from editharness.errors import RecordError
from editharness.verifying.places import verify_all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(raw: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every value, but for all rows and columns after the second."""
    keys = list(raw) if isinstance(raw, dict) else list(range(min(len(raw), 2))) if isinstance(raw, list) else []
    return [found for key in keys for found in [(*path, key), *places(raw[key], (*path, key))]]


def put(raw: Any, place: tuple[Any, ...], value: Any) -> None:
    for key in place[:-1]:
        raw = raw[key]
    raw[place[-1]] = value


RECORD = json.loads((committed() / "record.json").read_text())


@example(("config", "resolved", "preset"), [])
@given(st.sampled_from(places(RECORD)), JSON)
@settings(max_examples=30)
def test_a_changed_record_is_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any
) -> None:
    submission = Submission(tmp_path_factory.mktemp("run"))
    put(submission.record, place, value)
    submission.write()
    assert all(line.isprintable() for line in submission.findings())
    shutil.rmtree(submission.folder.parent)


@given(st.sampled_from(FILES), st.integers(0, 40), st.data())
@settings(max_examples=25)
def test_a_changed_line_is_never_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, name: str, number: int, data: st.DataObject
) -> None:
    submission = Submission(tmp_path_factory.mktemp("run"))

    def change(lines: list[dict[str, Any]]) -> None:
        line = lines[number % len(lines)]
        put(line, data.draw(st.sampled_from(places(line))), data.draw(JSON))

    submission.change(name, change)
    submission.write()
    assert all(line.isprintable() for line in submission.findings())
    shutil.rmtree(submission.folder.parent)


@given(st.sampled_from(FILES), st.binary(max_size=60))
@settings(max_examples=15)
def test_any_bytes_are_never_a_traceback(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    submission = Submission(tmp_path_factory.mktemp("run"))
    submission.put(name, content, packed=False)
    submission.write()
    assert any(line.startswith("error") for line in submission.findings())
    shutil.rmtree(submission.folder.parent)


def test_every_record_below_is_verified_and_links_are_not_followed(tmp_path: Path) -> None:
    good = Submission(tmp_path / "a")
    (tmp_path / "b").symlink_to(good.folder)
    found = list(verify_all([tmp_path], here()))
    assert [(one.path, one.good) for one in found] == [(tmp_path / "b", False), (good.path, True)]
    assert "a link: records are plain files" in str(found[0].findings[0])
    with pytest.raises(RecordError, match="no such file or folder"):
        list(verify_all([tmp_path / "none"], here()))


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(path.name for path in RESULTS.iterdir() if path.name != "sequential_pocket"))
def test_committed_records_are_what_they_say(task: str) -> None:
    smallest = min((RESULTS / task).iterdir(), key=lambda run: ((run / "samples.jsonl.gz").stat().st_size, run.name))
    (one,) = verify_all([smallest], here())
    assert one.good, one.findings


@pytest.mark.long
def test_all_committed_records_are_what_they_say() -> None:
    assert [str(finding) for one in verify_all([RESULTS], here()) for finding in one.findings if not one.good] == []
