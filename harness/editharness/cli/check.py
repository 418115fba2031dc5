"""`editharness check NAME`: does a method keep its promises, can a judge be trusted, is a data set what it says?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from editharness.cli.common import add_plugins
from editharness.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from editharness.registry import Registry
    from editharness.testing.conformance import Report

FAMILIES = (
    "llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3", "phi3", "olmo2", "gpt2", "gptj", "gpt_neox",
)  # fmt: skip
KINDS: Mapping[str, tuple[str, ...]] = {
    "method": ("family", "set"),
    "protocol": (),
    "dataset": ("data",),
    "judge": ("judge_set",),
    "task": (),
}
"""Kind -> the flags that only some kinds take."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare NAME and what it is checked on."""
    parser.description = (
        "Run the conformance kit. Of a method, with tiny random models: the fact moves, the change is undone bit by "
        "bit, nothing is left behind, and more. Of a protocol: its controls stand where they must. Of a data set: "
        "schema, subjects, licence, hash. Of a judge: the sanity battery. Of a task: it renders and scores. Exit "
        "status 1 where there are findings."
    )
    parser.add_argument("name", metavar="NAME", help="a method, protocol, data set, judge or task (or group of tasks)")
    parser.add_argument("--kind", choices=tuple(KINDS), help="which of them, where NAME is several")
    parser.add_argument(
        "--family", default="llama,gpt2", metavar="NAME[,NAME...]",
        help=f"models to check a method on: {', '.join(FAMILIES)}, or all (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set one option of the method")
    parser.add_argument(
        "--judge-set", action="append", default=[], metavar="NAME.KEY=VALUE", help="set one option of the judge"
    )
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE", help="the file of the data set")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CHECK", help="make this check alone, repeatable"
    )
    add_plugins(parser)


def run(args: argparse.Namespace) -> int:
    """Print a report per model family or task; 1 where there is a finding."""
    from editharness.registry import load_plugins

    registry = load_plugins(files=args.plugin)
    kind = kind_of(args.name, args.kind, registry)
    for flag in ("family", "set", "judge_set", "data"):
        if flag in args.passed and flag not in KINDS[kind]:
            raise UsageError(f"--{flag.replace('_', '-')} says nothing about a {kind}: leave it out")
    found = 0
    for report in _reports(args, kind, registry):
        print(report, flush=True)
        found += len(report.findings)
    return int(found > 0)


def kind_of(name: str, asked: str | None, registry: Registry) -> str:
    """The kind (a key of KINDS) that NAME is; raises UnknownNameError, or UsageError where it is several."""
    known = {kind: getattr(registry, f"{kind}s") for kind in KINDS}
    if asked is not None:
        if name not in known[asked]:
            raise UnknownNameError(asked, name, known[asked])
        return asked
    kinds = [kind for kind in KINDS if name in known[kind]]
    if len(kinds) > 1:
        raise UsageError(f"{name!r} is a {' and a '.join(kinds)}: say which, as in --kind {kinds[0]}")
    if not kinds:
        raise UnknownNameError("name", name, {one for names in known.values() for one in names}, _hint(known, name))
    return kinds[0]


def _hint(known: Mapping[str, Mapping[str, object]], name: str) -> str:
    """What the nearest name is, so that a reader knows what would be checked."""
    nearest = UnknownNameError("name", name, {one for names in known.values() for one in names}).nearest
    kinds = [kind for kind, names in known.items() if nearest in names]
    return f"(a {' and a '.join(kinds)})" if kinds else ""


def _reports(args: argparse.Namespace, kind: str, registry: Registry) -> Iterator[Report]:
    from editharness.cli.judge import judge_settings
    from editharness.config import parse_files
    from editharness.options import parse_settings

    families, settings, files = _families(args.family), parse_settings(args.set), parse_files(args.data)
    judged = judge_settings(args.judge_set, {args.name: args.name})[args.name]
    for name in files:
        if name != args.name:
            raise UnknownNameError("data set", name, [args.name], hint="(in --data)")
    from editharness.testing import check_dataset, check_judge, check_method, check_protocol, check_task
    from editharness.testing.conformance.tasks import members

    only, name = args.only, args.name
    if kind == "method":
        for family in families:
            yield check_method(registry.method(name), registry, family, options=settings, only=only)
    elif kind == "protocol":
        yield check_protocol(registry.protocol(name), registry, only=only)
    elif kind == "dataset":
        yield check_dataset(registry.dataset(name), registry, files.get(name), only=only)
    elif kind == "judge":
        yield check_judge(registry.judge(name), registry, options=judged, only=only)
    else:
        for task in members(registry, name):
            yield check_task(task, registry, only=only)


def _families(words: str) -> list[str]:
    if words == "all":
        return list(FAMILIES)
    names = [word.strip() for word in words.split(",") if word.strip()]
    for name in names or [words]:
        if name not in FAMILIES:
            raise UnknownNameError("family", name, FAMILIES, hint="(in --family)")
    return names
