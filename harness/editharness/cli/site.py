"""`editharness site DIR... --output FOLDER`: boards as HTML pages that need no server."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
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
    parser.add_argument(
        "--verify", action="store_true", help="recompute every record first; those that hold get the badge `recomputed`"
    )


def run(args: argparse.Namespace) -> int:
    """Write the site and say where it begins; with --verify findings go to stderr, and the site says what holds."""
    from editharness.cache import cache_folder
    from editharness.leaderboard.claims import read_claims
    from editharness.leaderboard.show import load
    from editharness.site import build
    from editharness.store.index import opened

    entries = load(args.paths)
    good = _good(args.paths) if args.verify else frozenset()
    claims = read_claims() if args.reported else ()
    with opened(cache_folder()) as index:
        files = build(entries, args.output, claims, recomputed=good, kept=index)
    print(f"{args.output / 'index.html'}: {len(files)} files")
    return 0


def _good(paths: Sequence[Path]) -> frozenset[Path]:
    """The folders of the records in which `verify` finds no error."""
    from editharness.registry import load_plugins
    from editharness.verifying import Here
    from editharness.verifying.places import verify_all

    os.environ.setdefault("TQDM_DISABLE", "1")
    here = Here(load_plugins(), {}, offline=bool(os.environ.get("HF_HUB_OFFLINE")))
    found = list(verify_all(paths, here))
    for finding in (finding for one in found for finding in one.findings):
        print(finding, file=sys.stderr)
    return frozenset(one.path.parent for one in found if one.good)
