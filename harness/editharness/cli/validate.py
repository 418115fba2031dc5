"""`editharness validate FILE...`: tasks, data, presets, plugin files, records: the first wrong line and its mend."""

from __future__ import annotations

import argparse
from pathlib import Path

from editharness.cli.common import add_plugins, complain

FAULT = 2
"""The exit status where a file has a fault."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare FILE and --as."""
    parser.description = (
        "Look a file through: task YAML (a question is rendered and scored), data files, presets, plugin files, "
        "records. Names the first wrong line and field and what to write instead; exit status 2 where there is one. "
        "A plugin file's code is run."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a file, or a run's folder")
    parser.add_argument(
        "--as", dest="reader", default="", metavar="DATA",
        help="the data set that a data file is for; or pairs (question-answer), facts (for edit); default: by content",
    )  # fmt: skip
    add_plugins(parser)


def run(args: argparse.Namespace) -> int:
    """A line per file; 2 where one has a fault."""
    from editharness.errors import EditHarnessError
    from editharness.leaderboard.text import plain
    from editharness.registry import load_plugins
    from editharness.validating import validate

    registry = load_plugins(files=args.plugin)
    status = 0
    for path in args.files:
        try:
            print(plain(str(validate(path, registry, reader=args.reader)), 300), flush=True)
        except EditHarnessError as error:
            complain(plain(str(error), 2000))
            status = FAULT
    return status
