"""`editharness runs [DIR...]`: the records below a folder, one line each, from an index that keeps itself right."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.cli.common import Table, show_table

if TYPE_CHECKING:
    from editharness.store.index import IndexedRun

_FILTERS = ("method", "task", "model")
_COLUMNS = (
    "id",
    "created",
    "method",
    "preset",
    "task",
    "model",
    "schedule",
    "edits",
    "seed",
    "column",
    "score",
    "path",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "paths", nargs="*", type=Path, default=[Path("runs")], metavar="DIR", help="where to look (default: runs)"
    )
    for name in _FILTERS:
        parser.add_argument(f"--{name}", metavar="NAME", help=f"only those of this {name} (several with commas)")
    parser.add_argument("--json", action="store_true", help="print them as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the records found; files that are none are named on stderr."""
    from editharness.cache import cache_folder
    from editharness.leaderboard.text import plain
    from editharness.store.index import indexed

    wanted = {name: given.split(",") for name in _FILTERS if (given := getattr(args, name)) is not None}
    found = indexed(args.paths, cache_folder())
    shown = [one for one in found if not one.problem and all(getattr(one, k) in v for k, v in wanted.items())]
    for broken in (one for one in found if one.problem):
        print(plain(f"not a record: {broken.path}: {broken.problem}", 400), file=sys.stderr)
    if args.json:
        print(json.dumps([_data(one) for one in shown], indent=2))
    else:
        show_table(_table(shown), "table")
    return 0


def _data(one: IndexedRun) -> dict[str, object]:
    return {name: value for name, value in vars(one).items() if name != "problem"}


def _table(found: Sequence[IndexedRun]) -> Table:
    from editharness.leaderboard.text import plain

    rows = [[plain(str(_cell(one, name)), 200) for name in _COLUMNS] for one in found]
    return Table("runs", _COLUMNS, rows, empty="no such run")


def _cell(one: IndexedRun, name: str) -> object:
    if name == "score":
        bounds = "" if one.low is None or one.high is None else f" [{100 * one.low:.1f}, {100 * one.high:.1f}]"
        return "" if one.value is None else f"{100 * one.value:.1f}{bounds}"
    if name == "path":
        return Path(one.path).parent
    return getattr(one, name)
