"""`editharness edit`: write a person's own facts into a model and save it: a checkpoint, an adapter or a patch."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.cli.common import add_device, add_plugins, complain, device_asked, natural, positive
from editharness.cli.eval import DTYPES, known_options
from editharness.errors import DataError, EditError, ScheduleError, UsageError
from editharness.export.forms import KINDS, SHARD, SIZES, Wanted, check_method
from editharness.types import Schedule

if TYPE_CHECKING:
    from editharness.data.own.facts import FactFile
    from editharness.facts import Writing, Written
    from editharness.models.load import LoadedModel
    from editharness.registry import Registry
    from editharness.types import Case, MethodSpec


def arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `edit`; those it shares with `eval` mean the same."""
    parser.description = (
        "Write facts of your own into a model and save it for others to load: a Hugging Face checkpoint, a PEFT "
        "adapter, or a patch that `editharness apply` puts on and takes off. See docs/export.md."
    )
    parser.add_argument("--method", required=True, help="editing method; see `editharness methods`")
    parser.add_argument(
        "--edits", required=True, type=Path, metavar="FACTS.jsonl", help="one fact a line: subject, prompt, target"
    )
    parser.add_argument("--save", required=True, type=Path, metavar="DIR", help="the new folder to write")
    parser.add_argument("--as", dest="kind", choices=KINDS, default="checkpoint", help="default: %(default)s")
    parser.add_argument("--rank", type=positive, metavar="R", help="keep R directions of each change, in an adapter")
    parser.add_argument("--shard", metavar="SIZE", help=f"split a checkpoint into files of this size, {SIZES}")
    parser.add_argument("--no-undo", action="store_true", help="a patch without the weights from before it")
    parser.add_argument("--skip-failed", action="store_true", help="save although some facts could not be written")
    parser.add_argument("--record", type=Path, metavar="RUN", help="a run of this method: its scores go on the card")
    parser.add_argument("--model", default="pocket", help="pocket, a hub id, or a folder (default: %(default)s)")
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument("--preset", help="whose option values: paper, sand, easyedit, ... (default: by model)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set one option of the method")
    parser.add_argument("--schedule", default="all", help="all, batch:K or sequential (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="of everything drawn at random (default: 0)")
    parser.add_argument(
        "--train", metavar="NAME[=FILE]", help="the data set whose train split a method that trains may see"
    )
    parser.add_argument("--corpus", type=Path, help="text for second moments, one document per line")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="number format (default: %(default)s)")
    add_device(parser)
    add_plugins(parser)
    parser.add_argument("--trust-remote-code", action="store_true", help="run a hub model's own code")


def run(args: argparse.Namespace) -> int:
    """Write the facts, save the folder, print what it is."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    # what can be known to be wrong is said before torch is loaded
    from editharness.data.own.facts import read_facts
    from editharness.registry import load_plugins

    registry = load_plugins(files=args.plugin)
    spec = registry.method(args.method)
    wanted = _wanted(args)
    _check(args, spec)
    facts = read_facts(args.edits)
    train = _train(args.train, spec, registry, facts)
    print(_export(args, wanted, registry, facts, train))
    return 0


def _wanted(args: argparse.Namespace) -> Wanted:
    """The form that was typed; UsageError for a flag of another one."""
    for flag, given, kind in (
        ("--rank", args.rank, "adapter"), ("--shard", args.shard, "checkpoint"), ("--no-undo", args.no_undo, "patch"),
    ):  # fmt: skip
        if given and args.kind != kind:
            raise UsageError(f"{flag} is for --as {kind}")
    return Wanted(args.kind, args.rank, args.shard or SHARD, undo=not args.no_undo)


def _check(args: argparse.Namespace, spec: MethodSpec) -> None:
    """A method that the form cannot hold, options and presets that do not exist, a folder in use."""
    from editharness.config import RunConfig
    from editharness.export.folder import check_free
    from editharness.options import parse_settings

    check_method(spec, args.kind)
    known_options(spec, RunConfig(spec.name, "", preset=args.preset, settings=parse_settings(args.set)))
    if not _schedule(args).carry:
        raise ScheduleError(f"--schedule {args.schedule} makes a model per fact, not one: use all, batch:K, sequential")
    check_free(args.save)
    if args.corpus is not None and not args.corpus.is_file():
        raise DataError(f"--corpus {args.corpus}: no such file")


def _schedule(args: argparse.Namespace) -> Schedule:
    return Schedule.parse(args.schedule)


def _train(typed: str | None, spec: MethodSpec, registry: Registry, facts: FactFile) -> Sequence[Case]:
    """The cases that the method may train on; UsageError where it needs some and none are named."""
    from editharness.config import parse_files
    from editharness.data.load import load_cases
    from editharness.opening import offline
    from editharness.seeing import needs_training, training_cases

    if not needs_training(spec):
        return ()
    if typed is None:
        raise UsageError(f"method {spec.name!r} needs cases to train on: name a data set with --train NAME[=FILE]")
    ((name, file),) = parse_files([typed]).items() if "=" in typed else ((typed, None),)
    data = load_cases(registry, registry.dataset(name).name, file, offline=offline())
    return training_cases(spec, name, [case for case in data.cases if case.split == "train"], facts.cases)


def _export(
    args: argparse.Namespace, wanted: Wanted, registry: Registry, facts: FactFile, train: Sequence[Case]
) -> str:
    """Open the model, write the facts, save the folder; the line that says what it is."""
    from editharness.asking import quiet
    from editharness.export.exporting import export, provenance
    from editharness.export.provenance import base_of
    from editharness.export.scores import check_scored, read_scored
    from editharness.facts import resolve_method
    from editharness.opening import open_model

    writing = _writing(args)
    record = read_scored(args.record) if args.record is not None else None
    if record is not None:
        check_scored(record, writing.method)
    with quiet():
        loaded = open_model(writing, registry)
    base = base_of(loaded, writing.dtype, registry)
    if record is not None:
        check_scored(record, writing.method, base)
    written = _written(args, writing, registry, loaded, facts, train)
    resolved = resolve_method(registry.method(writing.method), writing.preset, writing.settings, loaded)
    made = provenance(registry, resolved, writing, base, facts, written)
    notes = (f"trained on {len(train)} cases of data set {args.train.partition('=')[0]}",) if train else ()
    with quiet():
        return export(args.save, wanted, loaded, written, made, record=record, notes=notes)


def _writing(args: argparse.Namespace) -> Writing:
    from editharness.facts import Writing
    from editharness.options import parse_settings

    return Writing(
        args.method, args.model, args.revision, args.preset, parse_settings(args.set), _schedule(args), args.seed,
        args.dtype, device_asked(args), args.corpus, args.trust_remote_code,
    )  # fmt: skip


def _written(
    args: argparse.Namespace, writing: Writing, registry: Registry, loaded: LoadedModel, facts: FactFile,
    train: Sequence[Case],
) -> Written:  # fmt: skip
    """The facts, written; EditError where one could not be, unless it may be skipped and another was written."""
    from editharness.asking import quiet
    from editharness.facts import write
    from editharness.progress import live

    with quiet(), live() as report:
        report.stage(f"{writing.method}: writing", len(facts.cases))
        written = write(writing, registry, loaded, facts.cases, train, report.advance)
    failed = written.failed
    if failed and not (args.skip_failed and len(failed) < len(facts.cases)):
        hint = "" if len(failed) == len(facts.cases) else "; --skip-failed saves the others"
        raise EditError(
            f"fact {failed[0].edit_id}: {failed[0].reason} ({len(failed)} of {len(facts.cases)} not written{hint})"
        )
    for status in failed:
        complain(f"fact {status.edit_id} was not written: {status.reason}")
    return written
