"""`editharness submit RUN...`: verify runs, pack them for the public boards, print the pull request's text."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

FAILED = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Verify runs and copy their files to where the public boards keep them; prints the text of the pull request. "
        "A run with an error is not packed."
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--output", type=Path, default=Path("submission"), metavar="DIR",
        help="a checkout, or any folder: files go to DIR/leaderboards/results/ (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--zip", action="store_true", help="one zip file per run in DIR instead")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE", help="the file of a data set")


def run(args: argparse.Namespace) -> int:
    """Verify all, then write all; 1, with nothing written, where one has an error."""
    from editharness.cli.eval import known_data
    from editharness.config import parse_files
    from editharness.registry import load_plugins
    from editharness.submitting import prepare, pull_request, write
    from editharness.verifying import Here

    files, registry = parse_files(args.data), load_plugins()
    known_data(files, registry.datasets)
    here = Here(registry, files, offline=bool(os.environ.get("HF_HUB_OFFLINE")))
    made = [prepare(path, here) for path in args.paths]
    for _, findings in made:
        for finding in findings:
            print(finding, file=sys.stderr)
    ready = [submission for submission, _ in made if submission is not None]
    if len(ready) < len(made):
        print("nothing was packed: mend what is named as an error", file=sys.stderr)
        return FAILED
    for submission in ready:
        print(f"packed: {write(submission, args.output, zipped=args.zip)}", file=sys.stderr)
    print(pull_request(ready))
    return 0
