"""`editharness new-method|new-protocol|new-dataset|new-judge NAME`: a package that works, to start from."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare NAME and --output."""
    parser.add_argument("name", metavar="NAME", help="its name: small letters, digits and dashes")
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="where to put it (default: here)")


def run(args: argparse.Namespace) -> int:
    """Write it and say what to type next."""
    from editharness.registry import load_plugins
    from editharness.scaffold import KINDS, new_package

    kind = args.command.removeprefix("new-")
    folder = new_package(kind, args.name, args.output, taken=getattr(load_plugins(), f"{kind}s"))
    print(f"{folder}: a package with {KINDS[kind].noun}, {args.name!r}. Next:")
    print(f"  pip install -e {folder}")
    for command in KINDS[kind].next:
        print(f"  {command.format(args.name)}")
    return 0
