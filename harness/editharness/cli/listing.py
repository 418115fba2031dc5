"""`editharness methods|protocols|tasks|datasets|models|judges [NAME]`: what there is, and one of it in full."""

from __future__ import annotations

import argparse

from editharness.cli.common import add_format, add_plugins, show_page, show_table
from editharness.errors import UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare NAME, --format and --path."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="show this one in full")
    parser.add_argument(
        "--path", action="store_true",
        help="print only where the file (or a model's folder) of NAME is; `tasks --path`: the folder of our tasks, "
        "for lm-eval's --include_path",
    )  # fmt: skip
    add_plugins(parser)
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Print the listing of `args.command`, or one entry."""
    from editharness.cli.catalogue import listing, page, path_of, tasks_folder
    from editharness.registry import load_plugins

    if args.path and args.name is None and args.command == "tasks":
        print(tasks_folder(load_plugins(files=args.plugin)))
        return 0
    if args.path and args.name is None:
        raise UsageError(f"--path needs a name: editharness {args.command} NAME --path")
    registry = load_plugins(files=args.plugin)
    if args.path:
        print(path_of(registry, args.command, args.name))
    elif args.name is not None:
        show_page(page(registry, args.command, args.name), args.format)
    else:
        show_table(listing(registry, args.command), args.format)
    return 0
