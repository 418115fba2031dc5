"""`editharness check NAME`: does a method keep its promises, can a judge be trusted, is a data set what it says?"""

from __future__ import annotations

import argparse

from editharness.cli.common import add_plugins
from editharness.errors import UnknownNameError

FAMILIES = ("llama", "qwen2", "mistral", "gpt2", "gptj", "gpt_neox")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare NAME and what it is checked on."""
    parser.description = (
        "Run the conformance kit on a method, with tiny random models: the fact moves, the change is undone bit by "
        "bit, an edit alone is the edit in a batch, nothing is left behind, and more. Exit status 1 where there are "
        "findings."
    )
    parser.add_argument("name", metavar="NAME", help="a method")
    parser.add_argument(
        "--family", default="llama,gpt2", metavar="NAME[,NAME...]",
        help=f"models to check on: {', '.join(FAMILIES)}, or all (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set one option of the method")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CHECK", help="make this check alone, repeatable"
    )
    add_plugins(parser)


def run(args: argparse.Namespace) -> int:
    """Print a report per family; 1 where there is a finding."""
    from editharness.options import parse_settings
    from editharness.registry import load_plugins

    registry = load_plugins(files=args.plugin)
    spec, families = registry.method(args.name), _families(args.family)
    settings = parse_settings(args.set)
    from editharness.testing.conformance import check_method

    reports = []
    for family in families:
        reports.append(check_method(spec, registry, family, options=settings, only=args.only))
        print(reports[-1], flush=True)
    return int(any(report.findings for report in reports))


def _families(words: str) -> list[str]:
    if words == "all":
        return list(FAMILIES)
    names = [word.strip() for word in words.split(",") if word.strip()]
    for name in names or [words]:
        if name not in FAMILIES:
            raise UnknownNameError("family", name, FAMILIES, hint="(in --family)")
    return names
