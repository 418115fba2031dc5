"""A run killed by SIGKILL goes on with the same command and ends as one left in peace; one folder, one process."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from filelock import FileLock

WORDS = [sys.executable, "-m", "editharness", "eval", "--method", "ft-m", "--task", "synthetic_pocket"]
WORDS += ["--edits", "4", "--schedule", "batch:1", "--set", "steps=3", "--output"]
ENVIRONMENT = {**os.environ, "EDITHARNESS_KEEP_SECONDS": "0", "OMP_NUM_THREADS": "1"}


def finish(output: Path, clock: Mapping[str, str] = {}, **how: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WORDS, str(output)], env={**ENVIRONMENT, **clock}, capture_output=True, text=True, check=False, **how
    )  # type: ignore[call-overload,no-any-return]


def part(output: Path) -> Path | None:
    return next(iter(output.glob(".*.part")), None)


def result(output: Path) -> tuple[object, ...]:
    (path,) = output.glob("*/record.json")
    record = json.loads(path.read_text())
    samples = gzip.decompress((path.parent / "samples.jsonl.gz").read_bytes())
    scores, edits = ((path.parent / name).read_bytes() for name in ("scores.jsonl", "edits.jsonl"))
    return record["id"], record["rows"], record["statuses"], samples, scores, edits


def stop_at(output: Path, entries: int, how: int, clock: Mapping[str, str] = {}) -> int:
    """Send a signal once so many files are kept; the exit status."""
    environment = {**ENVIRONMENT, **clock}
    child = subprocess.Popen([*WORDS, str(output)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        folder = part(output)
        if folder is not None and len(list(folder.glob("[0-9]*.json"))) >= entries:
            break
        time.sleep(0.005)
    child.send_signal(how)
    _, said = child.communicate(timeout=60)
    if how == signal.SIGINT:
        assert b"give the same command to go on" in said
    return child.returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[object, ...]:
    output = tmp_path_factory.mktemp("undisturbed")
    assert finish(output).returncode == 0
    assert part(output) is None, "nothing is left behind"
    return result(output)


@pytest.mark.slow
def test_a_killed_run_ends_as_one_left_in_peace(tmp_path: Path, undisturbed: tuple[object, ...]) -> None:
    assert stop_at(tmp_path, 2, signal.SIGKILL) == -signal.SIGKILL
    assert not list(tmp_path.glob("*/record.json"))
    assert stop_at(tmp_path, 4, signal.SIGINT) == 130
    done = finish(tmp_path)
    assert done.returncode == 0
    assert "going on from what an interrupted run has kept" in done.stderr
    assert result(tmp_path) == undisturbed
    assert part(tmp_path) is None


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, undisturbed: tuple[object, ...]) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    full = finish(tmp_path, preexec_fn=small_files)
    assert full.returncode == 2
    assert len(full.stderr.strip().splitlines()[-1:]) == 1
    assert "cannot be written (File too large)" in full.stderr
    assert "Traceback" not in full.stderr
    assert not list(tmp_path.glob("*/record.json"))
    assert finish(tmp_path).returncode == 0
    assert result(tmp_path) == undisturbed


@pytest.mark.slow
def test_a_second_process_is_refused(tmp_path: Path, undisturbed: tuple[object, ...]) -> None:
    folder = tmp_path / f".{undisturbed[0]}.part"
    folder.mkdir()
    with FileLock(folder / "lock"):
        second = finish(tmp_path)
    assert second.returncode == 2
    assert "another process is making this run" in second.stderr


FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
DECADE = "+3650d"


def clock(said: str) -> dict[str, str]:
    """The system's clock off by so much for one process and no file; what only counts seconds goes on as it does."""
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME": said, "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}


@pytest.mark.slow
@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime on this machine")
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, undisturbed: tuple[object, ...]) -> None:
    """Begun ten years ahead, gone on with ten years behind, ended with the right time."""
    assert stop_at(tmp_path, 2, signal.SIGKILL, clock(DECADE)) == -signal.SIGKILL
    for kept in tmp_path.rglob("*"):  # as files are that were written ten years ahead
        os.utime(kept, (time.time() + 315_360_000,) * 2)
    assert stop_at(tmp_path, 4, signal.SIGKILL, clock("-3650d")) == -signal.SIGKILL
    done = finish(tmp_path)
    assert done.returncode == 0
    assert "going on from what an interrupted run has kept" in done.stderr
    assert result(tmp_path) == undisturbed


@pytest.mark.slow
@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime on this machine")
def test_a_clock_set_during_a_run_changes_nothing(tmp_path: Path, undisturbed: tuple[object, ...]) -> None:
    """Set ten years back while the run is made: it ends as ever, and its record bears the time that was told last."""
    told = tmp_path / "clock"
    told.write_text("@2036-01-01 00:00:00")
    jumping = {**clock(""), "FAKETIME_TIMESTAMP_FILE": str(told), "FAKETIME_NO_CACHE": "1"}
    del jumping["FAKETIME"]
    environment = {**ENVIRONMENT, **jumping}
    child = subprocess.Popen([*WORDS, str(tmp_path / "runs")], env=environment, stdout=subprocess.DEVNULL)
    while child.poll() is None and not list((tmp_path / "runs").glob(".*.part/[0-9]*.json")):
        time.sleep(0.005)
    assert child.poll() is None
    told.write_text("@2016-01-01 00:00:00")
    assert child.wait(timeout=120) == 0
    assert result(tmp_path / "runs") == undisturbed
    (path,) = (tmp_path / "runs").glob("*/record.json")
    assert json.loads(path.read_text())["created"].startswith(("2016", "2015-12-31"))
    assert json.loads(path.read_text())["cost"]["seconds"] < 120
