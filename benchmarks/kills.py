"""Runs that are killed (SIGKILL) at a random moment, made again by the same command, and compared with a run in peace.

    python benchmarks/kills.py --kills 50

Every kill comes at a uniformly random moment of the run's own length, its start and its end included. Two records are
the same where samples, edits and scores are equal byte for byte and record.json is but for the time and what it cost.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

METHODS = ("memit", "grace", "ft-m")
SCHEDULES = ("single", "sequential", "batch:3", "all")
FILES = ("samples.jsonl.gz", "edits.jsonl", "scores.jsonl")


@dataclass(frozen=True)
class Command:
    """One run; `keep` is how often it writes down what it has (seconds)."""

    method: str
    schedule: str
    edits: int
    task: str

    def words(self, output: Path) -> list[str]:
        """The command line."""
        return [
            *(sys.executable, "-m", "editharness", "eval", "--method", self.method, "--task", self.task),
            *("--edits", str(self.edits), "--schedule", self.schedule, "--output", str(output)),
        ]

    def run(self, output: Path, keep: float) -> tuple[str, float]:
        """Make it to its end: what it said on stderr, and its seconds."""
        start = time.perf_counter()
        done = subprocess.run(self.words(output), env=_environment(keep), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(self.words(output))}\nended with {done.returncode}: {done.stderr}")
        return done.stderr, time.perf_counter() - start

    def killed(self, output: Path, keep: float, after: float) -> bool:
        """Start it and kill it after so many seconds; False where it was through by then."""
        quiet = subprocess.DEVNULL
        running = subprocess.Popen(self.words(output), env=_environment(keep), stdout=quiet, stderr=quiet)
        try:
            running.wait(after)
        except subprocess.TimeoutExpired:
            running.send_signal(signal.SIGKILL)
        return running.wait() == -signal.SIGKILL


def _environment(keep: float) -> dict[str, str]:
    return {**os.environ, "EDITHARNESS_KEEP_SECONDS": str(keep), "HF_HUB_OFFLINE": "1"}


def record(output: Path) -> dict[str, Any]:
    """The one record below a folder, without what may differ: when it was made and what that cost."""
    (path,) = output.glob("[!.]*/record.json")
    raw = json.loads(path.read_text(encoding="utf-8"))
    for name in ("created", "cost"):
        del raw[name]
    if raw["training"] is not None:
        del raw["training"]["seconds"]
    return {"record": raw, **{name: (path.parent / name).read_bytes() for name in FILES}}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Which parts of two records are not the same."""
    return [name for name in one if one[name] != other[name]]


def main(argv: Sequence[str] | None = None) -> int:
    """Kill, make again, compare, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--schedules", default=",".join(SCHEDULES))
    parser.add_argument("--task", default="negation_pocket")
    parser.add_argument("--edits", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    draw = random.Random(args.seed)
    kinds = list(itertools.product(args.methods.split(","), args.schedules.split(",")))
    commands = [Command(method, schedule, args.edits, args.task) for method, schedule in kinds]
    apart = killed = gone_on = 0
    print(f"{'method':10} {'schedule':11} {'killed after':>12} {'of':>7} {'kept every':>10}  went on    the record")
    with tempfile.TemporaryDirectory() as folder:
        root, peace = Path(folder), dict[Command, tuple[dict[str, Any], float]]()
        for number, command in zip(range(args.kills), itertools.cycle(commands)):
            if command not in peace:
                _, seconds = command.run(root / f"peace{number}" / "runs", 1.0)
                peace[command] = record(root / f"peace{number}" / "runs"), seconds
            wanted, seconds = peace[command]
            output, keep, moment = root / f"kill{number}" / "runs", draw.choice((0.0, 1.0)), draw.uniform(0, seconds)
            was_killed = command.killed(output, keep, moment)
            said, _ = command.run(output, keep) if was_killed else ("", 0.0)
            found = differences(wanted, record(output))
            left = [path.name for path in output.glob(".*")]
            on = "going on" in said
            killed, gone_on, apart = killed + was_killed, gone_on + on, apart + bool(found or left)
            print(
                f"{command.method:10} {command.schedule:11} {moment:10.1f} s {seconds:5.1f} s {keep:8.0f} s"
                f"  {'yes' if on else 'from start' if was_killed else 'was through':11}"
                f"{'is the same' if not found and not left else f'DIFFERS: {found} {left}'}",
                flush=True,
            )
    print(f"{args.kills} runs, {killed} killed, {gone_on} went on from what was kept: {apart} records differ")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
