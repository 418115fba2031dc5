"""`editharness new-method NAME`: a package with a working method, its test and its entry point."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare NAME and --output."""
    parser.description = "Write a complete package: a method that works, options, the conformance test, CI, a README."
    parser.add_argument("name", metavar="NAME", help="the method's name: small letters, digits and dashes")
    parser.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="where to put it (default: here)")


def run(args: argparse.Namespace) -> int:
    """Write it and say what to type next."""
    from editharness.scaffold import new_method

    folder = new_method(args.name, args.output)
    print(f"{folder}: a package with the method {args.name!r}. Next:")
    print(f"  pip install -e {folder}")
    print(f"  editharness check {args.name}")
    print(f"  editharness eval --method {args.name} --task negation_pocket --edits 20")
    return 0
