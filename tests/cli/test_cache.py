"""`editharness cache`: what is there is told, what is named goes, and nothing else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from editharness.cli import main


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    for name in (
        "data/mcf/0123/mcf.json",
        "moments/a.safetensors",
        "moments/b.safetensors",
        "verdicts.sqlite",
        "mine.txt",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * 1500)
    old = time.time() - 40 * 86_400
    os.utime(folder / "moments" / "a.safetensors", (old, old))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").write_text("kept")
    (folder / "prepared").symlink_to(outside)
    (folder / "data" / "linked").symlink_to(outside)
    monkeypatch.setenv("EDITHARNESS_CACHE", str(folder))
    return folder


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    assert main(["cache", "list", "--format", "json"]) == 0
    return {row["kind"]: row["files"] for row in json.loads(capsys.readouterr().out)}


def test_what_is_kept_is_listed_by_kind(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys) == {"data": 1, "moments": 2, "prepared": 0, "records": 0, "verdicts": 1}
    assert main(["cache", "list", "moments"]) == 0
    assert "3.0 kB" in capsys.readouterr().out


def test_cleaning_removes_the_kinds_that_are_named_and_follows_no_link(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", "clean", "moments", "--dry-run"]) == 0
    assert main(["cache", "clean", "moments", "--older-than", "30"]) == 0
    capsys.readouterr()
    assert listed(capsys)["moments"] == 1
    assert (cache / "moments" / "b.safetensors").is_file()
    assert main(["cache", "clean", "all"]) == 0
    capsys.readouterr()
    assert set(listed(capsys).values()) == {0}
    assert (cache / "mine.txt").is_file()
    assert (cache.parent / "outside" / "kept.txt").read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["clean"], "cache clean: name what is to go (data, moments, prepared, records, verdicts, or all)"),
        (["clean", "moment"], "unknown kind 'moment': did you mean 'moments'"),
        (["empty"], "invalid choice: 'empty'"),
    ],
    ids=["no kind", "unknown kind", "unknown action"],
)
def test_what_is_mistyped_removes_nothing(
    words: list[str], line: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", *words]) == 2
    assert line in capsys.readouterr().err
    assert listed(capsys)["moments"] == 2
