"""`editharness verify RUN|DIR...`: is every record what it says?"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from editharness.cli.common import add_plugins, natural, positive
from editharness.errors import UsageError

if TYPE_CHECKING:
    from editharness.verifying.places import Again, Verified

FAILED = 1
"""The exit status where a record is not what it says."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Recompute every score of a record from the answers beside it and check the rest: one line per finding, "
        "exit status 1 where there is an error. Nothing that stands in a record is run."
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="RUN|DIR", help="a run, a folder with runs below it, or a zip of these"
    )
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE", help="the file of a data set")
    parser.add_argument("--json", action="store_true", help="print findings as JSON")
    parser.add_argument(
        "--rerun", type=positive, metavar="K", help="also edit again, ask K random cases again and compare the answers"
    )
    parser.add_argument("--seed", type=natural, default=0, help="which K cases (default: %(default)s)")
    parser.add_argument(
        "--tolerance", type=float, default=0.02,
        help="how far a log-likelihood asked again may be off, relative and absolute (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--sign", metavar="NAME",
        help="with --rerun: where the answers are the same, say so in a note beside the record, under this name",
    )  # fmt: skip
    add_plugins(parser)


def run(args: argparse.Namespace) -> int:
    """Print what is wrong with every record found; 1 where a record is not what it says."""
    if args.sign is not None and (not args.rerun or not args.sign.strip()):
        raise UsageError("--sign NAME: needs a name, and --rerun K: only what was asked again is reproduced")
    from editharness.config import parse_files
    from editharness.verifying.places import Again

    os.environ.setdefault("TQDM_DISABLE", "1")  # lm-eval's bars would stand between the findings
    again = Again(args.rerun, args.seed, args.tolerance) if args.rerun else None
    return show(args.paths, parse_files(args.data), as_json=args.json, again=again, plugins=args.plugin, sign=args.sign)


def show(
    paths: Sequence[Path], files: Mapping[str, Path] = MappingProxyType({}), *, as_json: bool = False,
    again: Again | None = None, plugins: Sequence[Path] = (), sign: str | None = None,
) -> int:  # fmt: skip
    """Verify all records below `paths` and print the findings as they come; the exit status."""
    from editharness.cli.eval import known_data
    from editharness.registry import load_plugins
    from editharness.verifying import Here
    from editharness.verifying.places import verify_all

    registry = load_plugins(files=plugins)
    known_data(files, registry.datasets)
    here = Here(registry, files, offline=bool(os.environ.get("HF_HUB_OFFLINE")))
    done = []
    for one in verify_all(paths, here, again):
        done.append(one)
        for finding in one.findings if not as_json else ():
            print(finding, flush=True)
        if sign and again and one.good and one.path.is_file():
            print(f"note: {_signed(one.path, again, sign)}", file=sys.stderr)
    print(json.dumps(_data(done), indent=2, ensure_ascii=False) if as_json else _summary(done))
    return 0 if all(one.good for one in done) else FAILED


def _signed(path: Path, again: Again, sign: str) -> Path:
    """Write that this record came out again; the note's path."""
    import time
    from importlib.metadata import version

    from editharness.leaderboard.text import plain
    from editharness.store.notes import Note, write_note
    from editharness.store.read import digest

    text = (
        f"{again.cases} cases edited and asked again (drawn with seed {again.seed}, tolerance {again.tolerance:g}) "
        f"with editharness {version('editharness')} and torch {version('torch')}: the same answers"
    )
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return write_note(path.parent, Note("reproduced", digest(path) or "", plain(sign, 80), date, text))


def _summary(done: Sequence[Verified]) -> str:
    bad, doubts = sum(not one.good for one in done), sum(bool(one.findings) and one.good for one in done)
    word = "record" if len(done) == 1 else "records"
    parts = [f"{bad} with errors"] * bool(bad) + [f"{doubts} with warnings"] * bool(doubts)
    return f"{len(done)} {word} recomputed: {', '.join(parts) or 'all as written'}"


def _data(done: Sequence[Verified]) -> dict[str, object]:
    from editharness.leaderboard.text import plain

    return {
        "records": [
            {
                "path": plain(str(one.path), 1000),
                "good": one.good,
                "findings": [
                    {
                        "level": f.level,
                        "path": plain(str(f.path), 1000),
                        "place": plain(f.place, 400),
                        "problem": plain(f.problem, 1000),
                    }
                    for f in one.findings
                ],
            }
            for one in done
        ],
        "good": all(one.good for one in done),
    }
