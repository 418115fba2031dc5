"""Are killed runs the runs that they would have been? Each is killed at a random moment, then made again to its end.

    python benchmarks/kills.py --kills 50
    python benchmarks/kills.py --kills 9 --schedule all

For every method and schedule: one run in peace, then runs killed (SIGKILL) once at a uniformly random moment, start and
writing of the record included, and taken up by the same command. Prints a line per pair: kills, how many of them left
something to go on from, and how many records are the same as the undisturbed one, samples and scores byte by byte.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

METHODS, SCHEDULES = ("memit", "grace", "ft-m"), ("single", "sequential", "batch:3", "all")
EDITS = 24
"""So many that loading is a quarter of a run: most kills then find something kept, under `all` as well."""


def command(method: str, schedule: str, output: Path, edits: int = EDITS) -> list[str]:
    words = ["eval", "--method", method, "--task", "negation_pocket", "--edits", str(edits), "--schedule", schedule]
    return [sys.executable, "-m", "editharness", *words, "--output", str(output)]


def environment() -> dict[str, str]:
    """Everything is kept at once, so that a short run has something to go on from."""
    return {**os.environ, "EDITHARNESS_KEEP_SECONDS": "0", "OMP_NUM_THREADS": "1"}


def finish(words: list[str]) -> tuple[str, float]:
    """Run to the end; what it says on stderr, and the seconds it took."""
    start = time.monotonic()
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr}")
    return done.stderr, time.monotonic() - start


def killed(words: list[str], after: float) -> bool:
    """Start, and kill after so many seconds; whether it was still running then."""
    child = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        child.wait(after)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return True
    return False


def result(output: Path) -> tuple[object, ...]:
    """All that must be the same: samples, scores, statuses, rows of the record."""
    (path,) = output.glob("*/record.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    samples = gzip.decompress((path.parent / "samples.jsonl.gz").read_bytes())
    files = [(path.parent / name).read_bytes() for name in ("scores.jsonl", "edits.jsonl")]
    return (record["id"], record["rows"], record["statuses"], samples, *files)


def main() -> None:
    """Kill, take up, compare, and print the table; exit status 1 where a record differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--edits", type=int, default=EDITS)
    parser.add_argument("--schedule", choices=SCHEDULES, help="this one alone (default: all four)")
    args = parser.parse_args()
    chosen = [args.schedule] if args.schedule else SCHEDULES
    lot, pairs = random.Random(args.seed), [(m, s) for s in chosen for m in METHODS]
    shares = [args.kills // len(pairs) + (i < args.kills % len(pairs)) for i in range(len(pairs))]
    kills = same = gone_on = 0
    print(f"{'method':8} {'schedule':12} {'kills':>5} {'went on':>8} {'same':>5} {'seconds alone':>14}", flush=True)
    for (method, schedule), share in zip(pairs, shares, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            _, seconds = finish(command(method, schedule, Path(folder) / "alone", args.edits))
            wanted, went_on, alike = result(Path(folder) / "alone"), 0, 0
            for number in range(share):
                words = command(method, schedule, Path(folder) / f"{number}", args.edits)
                while not killed(words, lot.uniform(0, seconds)):
                    words = command(method, schedule, Path(folder) / f"{number}-{lot.random()}", args.edits)
                output = Path(words[-1])
                if not list(output.glob("*/record.json")):  # else it was killed while it showed the finished board
                    told, _ = finish(words)
                    went_on += "going on from" in told
                alike += result(output) == wanted
        print(f"{method:8} {schedule:12} {share:5} {went_on:8} {alike:5} {seconds:14.1f}", flush=True)
        kills, same, gone_on = kills + share, same + alike, gone_on + went_on
    print(f"{kills} kills, {gone_on} of them after something was kept, {same} records the same")
    raise SystemExit(kills != same)


if __name__ == "__main__":
    main()
