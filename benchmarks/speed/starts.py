"""How long the commands take from the shell, start of Python included."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from boards import copies


def commands(repeats: int) -> Iterator[tuple[str, list[float], float]]:
    """(what, wall seconds of each repetition, at most)."""
    with tempfile.TemporaryDirectory() as folder:
        copies(Path(folder) / "runs", 100)
        fresh = {"EDITHARNESS_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": "2"}
        quick = ["eval", "--method", "memit", "--task", "negation_pocket", "--output", f"{folder}/out"]
        yield "`editharness --help`", [_timed(["--help"], fresh) for _ in range(repeats)], 0.3
        board = ["leaderboard", f"{folder}/runs"]
        yield "`editharness leaderboard`, 100 records", [_timed(board, fresh) for _ in range(repeats)], 1.0
        yield "quick start, empty cache, two threads", [_timed(quick, fresh)], 45.0


def _timed(words: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "editharness", *words], env=os.environ | environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start
