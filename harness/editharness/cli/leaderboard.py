"""`editharness leaderboard DIR...`: run records as tables of comparable runs."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.errors import RecordError, UsageError

if TYPE_CHECKING:
    from editharness.leaderboard.claims import Claim

_FORMATS = {".md": "markdown", ".json": "json"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="DIR", help="a folder with records below it, or a record"
    )
    parser.add_argument(
        "--format", choices=("table", "json", "markdown"), help="default: by the file's ending, else table"
    )
    parser.add_argument(
        "--reported", action="store_true", help="below each board, what the papers claim, and which settings differ"
    )
    parser.add_argument(
        "--series", action="store_true", help="below each board, what was measured over the number of edits"
    )
    parser.add_argument(
        "--grid", nargs="?", const="", metavar="COLUMN",
        help="instead: batch size x number of edits, a table per method, of the ranked column or of COLUMN",
    )  # fmt: skip
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--output", type=Path, metavar="FILE", help="write to FILE")
    target.add_argument("--check", type=Path, metavar="FILE", help="exit 1 if FILE is not what would be written")
    target.add_argument(
        "--plots", type=Path, metavar="FOLDER",
        help="draw as SVG what the records allow: values over the edits, PN against unchanged, synthetic against WILD",
    )  # fmt: skip
    target.add_argument(
        "--verify", action="store_true", help="the same as `editharness verify DIR`: is every record what it says?"
    )


def run(args: argparse.Namespace) -> int:
    """Print, write or check the boards of all records found; 1 where a file or a record is not what it should be."""
    from editharness.leaderboard.claims import read_claims
    from editharness.leaderboard.show import show_grids, show_records

    if args.verify:
        from editharness.cli.verify import show

        return show(args.paths)
    if args.plots:
        return _plot(args.paths, args.plots)
    if args.grid is not None and (args.series or args.reported):
        raise UsageError("--grid stands alone: leave --series and --reported out")
    claims = read_claims() if args.reported else None
    file: Path | None = args.output or args.check
    form = args.format or (_FORMATS.get(file.suffix, "table") if file else "table")
    command = _command(args, form, file)
    if file is not None:
        text = _text(args, form, command, claims)
    elif args.grid is not None:
        show_grids(args.paths, form, command, args.grid or None)
        return 0
    else:
        show_records(args.paths, form, command, claims, series=args.series)
        return 0
    return _check(file, text, command) if args.check else _write(file, text)


def _text(args: argparse.Namespace, form: str, command: str, claims: Sequence[Claim] | None) -> str:
    """The content of a file."""
    from editharness.leaderboard.grid import grids
    from editharness.leaderboard.show import as_text, grids_as_text, load_boards

    made = load_boards(args.paths)
    if args.grid is not None:
        return grids_as_text(grids(made, args.grid or None), form, command)
    return as_text(made, form, command, claims, series=args.series)


def _plot(paths: Sequence[Path], folder: Path) -> int:
    from editharness.leaderboard.plots import write_plots
    from editharness.leaderboard.show import load_boards

    for file in write_plots(load_boards(paths), folder):
        print(file)
    return 0


def _command(args: argparse.Namespace, form: str, file: Path | None) -> str:
    """The line that makes the file again, from where it was typed."""
    words = ["editharness", "leaderboard", *(_relative(path) for path in args.paths), "--format", form]
    words += ["--reported"] if args.reported else []
    words += ["--series"] if args.series else []
    words += ["--grid", *([args.grid] if args.grid else [])] if args.grid is not None else []
    return shlex.join([*words, "--output", _relative(file)] if file else words)


def _relative(path: Path) -> str:
    """The path as seen from here: a generated file must not hold the folders of its author."""
    inside = os.path.relpath(path)
    return path.name if inside.startswith("..") else Path(inside).as_posix()


def _check(file: Path, text: str, command: str) -> int:
    try:
        if file.read_text(encoding="utf-8") == text:
            return 0
        problem = "differs from its records"
    except FileNotFoundError:
        problem = "is not there"
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{file}: cannot be read ({type(error).__name__})") from None
    print(f"{file} {problem}: run {command}", file=sys.stderr)
    return 1


def _write(file: Path, text: str) -> int:
    from editharness.store.write import replacing

    if file.is_dir():
        raise UsageError(f"--output {file}: is a folder; name a file in it")
    with replacing(file) as out:
        out.write(text.encode("utf-8"))
    return 0
