"""`editharness site DIR... --output FOLDER`: boards as HTML pages that need no server."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where records are and where the site goes."""
    parser.description = (
        "Make a static site of the boards of all records below DIR: tables that sort and filter, plots, and the "
        "command behind every row. It works from a file and asks nothing of another machine."
    )
    parser.add_argument("paths", type=Path, nargs="*", default=[Path("runs")], metavar="DIR", help="default: runs")
    parser.add_argument("--output", type=Path, default=Path("site"), metavar="FOLDER", help="default: site")
    parser.add_argument("--reported", action="store_true", help="also what papers claim, marked as such")


def run(args: argparse.Namespace) -> int:
    """Write the site and say where it begins."""
    from editharness.leaderboard.claims import read_claims
    from editharness.leaderboard.show import load
    from editharness.site import build

    files = build(load(args.paths), args.output, read_claims() if args.reported else ())
    print(f"{args.output / 'index.html'}: {len(files)} files")
    return 0
