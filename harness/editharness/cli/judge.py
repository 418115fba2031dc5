"""`editharness judge RUN...`: judge stored answers, several judges side by side; labels by people out and in."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.cli.common import add_format, add_plugins, natural, positive
from editharness.errors import DataError, EditHarnessError, OptionError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from editharness.judging.answers import RunAnswers
    from editharness.judging.deciding import Bench
    from editharness.registry import Registry

DEFAULT = "rules"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Judge the answers that runs have stored, without a model being edited or asked again. Verdicts are written "
        "beside each record; all that stand there are shown, with intervals, bounds and agreement."
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="RUN", help="a run's folder, or one with runs below it")
    parser.add_argument(
        "--judge", help="judges, commas between; NAME=JUDGE gives one a name of its own (default: rules)"
    )
    parser.add_argument(
        "--judge-set", action="append", default=[], metavar="NAME.KEY=VALUE", help="set one option of a judge"
    )
    parser.add_argument("--rows", default="", help="only these rows, commas between")
    parser.add_argument("--tasks", default="", help="only these tasks; negated questions are judged only when named")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE", help="the file of a data set")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument("--export", type=Path, metavar="FILE", help="write answers to a CSV for people to label")
    labels.add_argument("--import", type=Path, metavar="FILE", dest="labels", help="read such a CSV with its labels")
    parser.add_argument("--judge-name", metavar="NAME", help="with --import: whose labels they are, say human-alice")
    parser.add_argument("--sample", type=positive, metavar="N", help="with --export: N answers (default: all)")
    parser.add_argument("--seed", type=natural, default=0, help="with --export: which N (default: 0)")
    add_plugins(parser)
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Judge, export or import; then show every judge beside the records. 2 where a judge could not be used."""
    from editharness.registry import load_plugins

    _check_flags(args)
    registry = load_plugins(files=args.plugin)
    judges = _judges(args, registry)
    runs = _runs(args, registry)
    if args.export is not None:
        return _export(args, runs)
    if args.labels is not None:
        _import(args, runs, registry)
    failed = _judge(judges, runs)
    return 0 if _show(runs, args.format, list(judges), failed) and not failed else 2


def judge_names(words: str) -> dict[str, str]:
    """The words of --judge -> column name -> plugin: "rules,big=openai" is rules and openai under the name big."""
    found: dict[str, str] = {}
    for word in (part.strip() for part in words.split(",")):
        name, equals, plugin = word.partition("=")
        if not name or (equals and not plugin):
            raise UsageError(f"--judge {words}: write it as --judge JUDGE,NAME=JUDGE")
        if name in found:
            raise UsageError(f"--judge {words}: {name!r} stands twice; give one a name: --judge {name},other={name}")
        found[name] = plugin or name
    return found


def judge_settings(words: Sequence[str], names: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The words of --judge-set -> column name -> key -> value; raises OptionError or UnknownNameError."""
    from editharness.options import parse_settings

    found: dict[str, list[str]] = {name: [] for name in names}
    for word in words:
        place, equals, value = word.partition("=")
        name, dot, key = place.partition(".")
        if not equals or not dot or not key:
            raise OptionError(f"--judge-set {place}: write it as --judge-set JUDGE.KEY=VALUE")
        if name not in found:
            raise UnknownNameError("judge", name, found, hint="(in --judge-set)")
        found[name].append(f"{key}={value}")
    return {name: parse_settings(pairs) for name, pairs in found.items()}


def _check_flags(args: argparse.Namespace) -> None:
    if (args.labels is None) != (args.judge_name is None):
        raise UsageError(
            "--import FILE and --judge-name NAME go together: --import labels.csv --judge-name human-alice"
        )
    if args.export is None and "sample" in args.passed:
        raise UsageError("--sample goes with --export FILE")
    if args.export is not None and args.judge is not None:
        raise UsageError("--export writes answers for people: leave --judge out")
    if args.labels is not None and not args.labels.is_file():
        raise DataError(f"--import {args.labels}: no such file")


def _judges(args: argparse.Namespace, registry: Registry) -> dict[str, Bench]:
    """The judges asked for, by column name; none where labels are exported or imported and no judge is named."""
    from editharness.cache import cache_folder
    from editharness.judging.deciding import make_judge
    from editharness.store.judgements import check_name

    people = args.export is not None or args.labels is not None
    words = args.judge if args.judge is not None else "" if people else DEFAULT
    names = judge_names(words) if words or args.judge is not None else {}
    settings = judge_settings(args.judge_set, names)
    for name, plugin in names.items():
        if name != plugin and name in registry.judges:
            raise UsageError(f"--judge {name}={plugin}: {name!r} is a judge of its own; choose another name")
    return {
        check_name(name): make_judge(registry, plugin, settings[name], cache_folder()) for name, plugin in names.items()
    }


def _runs(args: argparse.Namespace, registry: Registry) -> list[RunAnswers]:
    from editharness.cli.eval import known_data
    from editharness.config import parse_files
    from editharness.judging.answers import Wanted, run_answers
    from editharness.store import check_writable, find_records

    files = parse_files(args.data)
    known_data(files, registry.datasets)
    paths = find_records(args.paths)
    for path in paths:
        check_writable(path.parent)
    wanted = Wanted(_words(args.rows), _words(args.tasks))
    runs = [run_answers(path, registry, files, wanted, offline=_offline()) for path in paths]
    left_out = sorted({task for one in runs for task in one.left_out})
    if left_out:
        _notice(
            f"not judged, since many answers are right under negation: {', '.join(left_out)} (name them in --tasks)"
        )
    return runs


def _judge(judges: Mapping[str, Bench], runs: Sequence[RunAnswers]) -> set[str]:
    """Run the judges one after another; one that cannot be used is named and returned, and the others go on."""
    from editharness.judging.runs import items_of, judge_runs
    from editharness.progress import live

    failed: set[str] = set()
    for name, bench in judges.items():
        try:
            with live() as report:
                report.stage(f"{name}: judging", len(items_of(runs)))
                judge_runs(name, bench, runs, report.advance)
        except EditHarnessError as error:
            if len(judges) == 1:
                raise
            _notice(f"{name}: {error}")
            failed.add(name)
    return failed


def _show(runs: Sequence[RunAnswers], form: str, asked: Sequence[str], failed: set[str]) -> bool:
    """Print all judges beside these records; False where one that was asked for may not be shown."""
    from editharness.cli.common import show_page
    from editharness.cli.judge_tables import judged_page
    from editharness.judging.runs import stored

    # what an earlier command stored under the name of a judge that failed now is not its answer to this one
    found = [stored(one, but=failed) for one in runs]
    reasons = {name: reason for one in found for name, reason in one.hidden.items()}
    for name, reason in reasons.items():
        _notice(f"judge {name!r} is not shown: {reason}")
    show_page(judged_page(runs, found), form)
    return not reasons.keys() & set(asked)


def _export(args: argparse.Namespace, runs: Sequence[RunAnswers]) -> int:
    from editharness.judging.labels import export_labels, sample_items
    from editharness.judging.runs import items_of

    count = export_labels(args.export, sample_items(items_of(runs), args.sample, args.seed))
    print(f"{args.export}: {count} answers; write correct or incorrect into the last column")
    return 0


def _import(args: argparse.Namespace, runs: Sequence[RunAnswers], registry: Registry) -> None:
    from editharness.judging.labels import import_labels
    from editharness.judging.runs import items_of, write_labels

    if args.judge_name in registry.judges:
        raise UsageError(f"--judge-name {args.judge_name}: is a judge of its own; choose another, say human-alice")
    labels = import_labels(args.labels, items_of(runs))
    count = write_labels(args.judge_name, runs, labels, args.labels.name)
    _notice(f"{args.labels}: {len(labels)} lines are the labels of {count} answers")


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _offline() -> bool:
    import os

    return bool(os.environ.get("HF_HUB_OFFLINE"))


def _notice(text: str) -> None:
    from editharness.cli.common import complain
    from editharness.leaderboard.text import plain

    complain(plain(text, 600))
