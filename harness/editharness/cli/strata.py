"""`editharness strata RUN`: the scores of one run with and without the cases that bear a mark."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.cli.common import Table, add_format, show_table
from editharness.errors import UnknownNameError

if TYPE_CHECKING:
    from editharness.comparing.side import Side
    from editharness.comparing.strata import Cell

_COLUMNS = ("mark", "column", "with", "95 % interval", "n", "without", "its interval", "n without")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Scores of one run apart by what marks a case: tags (answer_in_subject, untrained, source:NQ, ...) or its "
        "relation. A mark that every case has, or none, is left out."
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument("--by", choices=("tag", "relation"), default="tag", help="what marks a case (default: tag)")
    parser.add_argument("--row", help="this row (a control), not the method's")
    parser.add_argument(
        "--column", action="append", default=[], help="this column, repeatable (default: the one that orders the board)"
    )
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE", help="the file of a data set")
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    from editharness.comparing import read_side
    from editharness.comparing.strata import strata
    from editharness.config import parse_files
    from editharness.registry import load_plugins
    from editharness.verifying import Here

    side = read_side(args.run, args.row)
    columns = tuple(_known(name, side) for name in args.column) or (side.record.protocol.ranked_by,)
    here = Here(load_plugins(), parse_files(args.data), offline=bool(os.environ.get("HF_HUB_OFFLINE")))
    cases = {case.id: case for case in here.cases(side.record.data.name).cases}
    rows = [
        (s.mark, s.column, *_shown(s.with_it), s.n_with, *_shown(s.without), s.n_without)
        for s in strata(side, cases, columns, args.by)
    ]
    title = f"{side.row} · {side.record.task} · {len(side.scores.clusters)} cases by {args.by}"
    show_table(Table(title, _COLUMNS, rows, empty=f"no {args.by} tells the cases of this run apart"), args.format)
    return 0


def _known(name: str, side: Side) -> str:
    names = [column for row, column in side.scores.columns if row == side.row]
    if name not in names:
        raise UnknownNameError("column", name, names)
    return name


def _shown(cell: Cell) -> tuple[str, str]:
    value, low, high = cell
    if value is None or low is None or high is None:
        return "–", ""
    return f"{100 * value:.1f}", f"[{100 * low:.0f}, {100 * high:.0f}]"
