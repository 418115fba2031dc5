"""How long boards and the site take over many records: copies of committed ones, each with its own id and seed.

python benchmarks/boards.py --records 1000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parents[1] / "leaderboards" / "results" / "factcheck_pocket"


def copies(folder: Path, count: int, seeds: int = 1) -> None:
    """`count` records below `folder`: boards of the committed methods, so many seeds of each."""
    sources = [path.parent for path in sorted(RESULTS.glob("*/record.json"))]
    for number in range(count):
        source, target = sources[number % len(sources)], folder / f"{number:04}"
        shutil.copytree(source, target)
        record = json.loads((target / "record.json").read_text(encoding="utf-8"))
        record["id"] = f"{record['method']['name']}-{number:010x}"
        place = number // len(sources)
        record["schedule"]["seed"] = record["config"]["resolved"]["seed"] = place % seeds
        record["schedule"]["edits"] = 100 + place // seeds
        (target / "record.json").write_text(json.dumps(record), encoding="utf-8")


def timed(*words: str) -> float:
    """Wall seconds of one command."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "editharness", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start


def main() -> None:
    """Make the records and time the commands, three times each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    os.environ.setdefault("EDITHARNESS_CACHE", tempfile.mkdtemp())
    with tempfile.TemporaryDirectory() as folder:
        copies(Path(folder) / "runs", args.records, args.seeds)
        for name, words in {
            "--help": ("--help",),
            "leaderboard": ("leaderboard", f"{folder}/runs"),
            "runs": ("runs", f"{folder}/runs"),
            "site": ("site", f"{folder}/runs", "--output", f"{folder}/site"),
        }.items():
            seconds = [timed(*words) for _ in range(3)]
            print(
                f"{name:12} {args.records} records: {min(seconds):.2f} s at best, first {seconds[0]:.2f} s", flush=True
            )


if __name__ == "__main__":
    main()
