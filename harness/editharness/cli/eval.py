"""`editharness eval`: edit a model, ask it, print the board, write the record."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.cli.cells import Cell, cells, parse_edits, parse_schedules
from editharness.cli.common import (
    add_device,
    add_plugins,
    complain,
    device_asked,
    natural,
    notice,
    parse_bytes,
    positive,
    show_table,
)
from editharness.config import ROWS
from editharness.errors import DataError, EditHarnessError, UnknownNameError, UsageError
from editharness.types import MethodSpec

if TYPE_CHECKING:
    from editharness.config import RunConfig
    from editharness.lending import Lent
    from editharness.registry import Registry
    from editharness.resume.sweep import Sweep

CONTROLS = ("none", "context")
DTYPES = ("float32", "bfloat16", "float16")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `eval`; lm-eval's spellings are accepted where they differ."""
    parser.description = (
        "Edit a model with a method, ask every question of a task, print the board and write the record."
    )
    parser.add_argument(
        "--method", required=True, help="editing method, several with commas, or all; see `editharness methods`"
    )
    parser.add_argument("--task", "--tasks", required=True, help="<protocol>_<data set>, several with commas")
    parser.add_argument("--model", default="pocket", help="pocket, a hub id, or a folder (default: %(default)s)")
    parser.add_argument("--revision", help="branch, tag or commit of a hub model")
    parser.add_argument("--preset", help="whose option values: paper, sand, easyedit, ... (default: by model)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set one option of the method")
    parser.add_argument(
        "--edits", default="100", metavar="N[,N...]", help="facts to write; several make a grid (default: %(default)s)"
    )
    parser.add_argument("--limit", type=positive, help="ask only the first N cases; the row is marked partial")
    parser.add_argument("--seed", type=natural, default=0, help="0: file order; else a random order (default: 0)")
    parser.add_argument(
        "--schedule", default="batch:100", metavar="S[,S...]",
        help="single, fresh:K, sequential, batch:K or all; several make a grid (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--checkpoints", metavar="N,N,...", help="ask also after these numbers of edits")
    parser.add_argument(
        "--stop-on-collapse", action="store_true",
        help="write no further once the model predicts ordinary text no better than a uniform guess",
    )  # fmt: skip
    parser.add_argument(
        "--abilities", metavar="TASK,...", help="also ask these lm-eval tasks, or a preset: pocket, paper"
    )
    parser.add_argument("--ability-limit", type=positive, metavar="N", help="only N questions of each of them")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE", help="the file of a data set")
    parser.add_argument("--train", type=Path, metavar="FILE", help="cases to train on, for data without a train split")
    parser.add_argument("--corpus", type=Path, help="text for second moments, one document per line")
    parser.add_argument("--moments", metavar="NAME", help="second moments brought in with `editharness stats import`")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="number format (default: %(default)s)")
    add_device(parser)
    parser.add_argument("--batch_size", "--batch-size", type=positive, default=ROWS, help="rows asked at once")
    parser.add_argument(
        "--exact", action="store_const", const=1, dest="batch_size",
        help="share nothing: every question and every value search alone, through the whole model (the same as "
        "--batch-size 1); many times slower, to check what batching does to a number",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=parse_bytes, metavar="SIZE",
        help="stay within so much, as in 8GB: fewer rows at once, or a refusal before anything is loaded (an estimate)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where records go (default: %(default)s)")
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew, whatever an interrupted run of this command has kept"
    )
    add_plugins(parser)
    parser.add_argument("--log-events", type=Path, metavar="FILE", help="append what happens to FILE, as JSON lines")
    parser.add_argument("--track", metavar="URI", help="also log to MLflow: a folder, or the address of a server")
    parser.add_argument(
        "--format", choices=("table", "json", "markdown"), default="table", help="how to print the board"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be run, and run nothing")
    parser.add_argument("--trust-remote-code", action="store_true", help="run a hub model's own code")


def run(args: argparse.Namespace) -> int:
    """Make one run per method and show their board; a method that fails is named and the others go on."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # one progress bar is enough: ours
    # what can be known to be wrong is said before torch is loaded
    from editharness.lending import Lent
    from editharness.registry import load_plugins
    from editharness.resume.sweep import Sweep
    from editharness.store import check_writable, run_id

    registry = load_plugins(files=args.plugin)
    configs, left_out = configure_all(args, registry)
    gridded = len(configs) > len({(config.task, config.method) for config in configs})
    for config in configs:
        known_options(registry.method(config.method), config)
        known_checkpoints(registry.method(config.method), config)
        registry.protocol_and_data(config.task)
        known_data(config.data, registry.datasets)
        if config.train is not None and not config.train.is_file():
            raise DataError(f"--train {config.train}: no such file")
    for line in left_out:
        complain(line)
    if args.memory is not None:
        configs = [_within(config, registry, args.memory) for config in configs]
    if args.dry_run:
        from editharness.cli.dry_run import plan, table

        show_table(table([plan(config, registry) for config in configs], registry), args.format)
        return 0
    check_writable(args.output)
    registry = _observed(registry, args)
    paths = []
    sweep = Sweep(args.output, [run_id(config.method, config.resolved()) for config in configs])
    if args.fresh:
        sweep.close()
    lent = Lent()
    for config in configs:
        try:
            paths.append(_run(config, registry, sweep, lent, fresh=args.fresh))
        except EditHarnessError as error:
            lent.drop()
            if len(configs) == 1:
                raise
            complain(f"{config.method}{_where(config, configs)}: {error}")
    if len(paths) == len(configs):
        sweep.close()
    from editharness.leaderboard.show import show_grids, show_records

    if paths and gridded:
        show_grids(paths, args.format)
    elif paths:
        show_records(paths, args.format, series=None)
    if args.format == "table":
        for path in paths:
            notice(f"record: {path}")
    return 0 if len(paths) == len(configs) else 2


def _within(config: RunConfig, registry: Registry, budget: int) -> RunConfig:
    from editharness.cli.dry_run import within

    found = within(config, registry, budget)
    if found.batch_size != config.batch_size:
        notice(f"{config.method}: {found.batch_size} rows at once, not {config.batch_size}, to stay within --memory")
    return found


def _observed(registry: Registry, args: argparse.Namespace) -> Registry:
    """The registry with the observers that were asked for."""
    if args.log_events is not None:
        from editharness.observers.events import EventLog

        registry = registry.observed_by("events", EventLog(args.log_events))
    if args.track is not None:
        from editharness.observers.tracker import Tracker

        registry = registry.observed_by("tracker", Tracker(args.track))
    return registry


def _where(config: RunConfig, configs: Sequence[RunConfig]) -> str:
    """What tells this run apart from the others of its method, in brackets."""
    cell = f"{config.schedule}, {config.edits} edits"
    cells_apart = len({(other.schedule, other.edits) for other in configs}) > 1
    parts = [config.task] * (len({other.task for other in configs}) > 1) + [cell] * cells_apart
    return f" ({', '.join(parts)})" if parts else ""


def _run(config: RunConfig, registry: Registry, sweep: Sweep, lent: Lent, *, fresh: bool) -> Path:
    """One run with its progress bar, or what is left of it after an interruption; the path of its record."""
    from editharness.progress import live
    from editharness.recording import write_run
    from editharness.resume.folder import unfinished
    from editharness.runner import run as run_config
    from editharness.store import run_id

    name = run_id(config.method, config.resolved())
    if (made := sweep.record(name)) is not None:
        notice(f"record: {made} was made before the interruption")
        return made
    with unfinished(config.output, name, notice, fresh=fresh) as part:
        path = part.finished()
        if path is None:
            with live() as report:
                outcome = run_config(config, lent.to(config, registry, part), report, part)
                lent.back(config, outcome.model)
                path = write_run(outcome, registry, part)
        registry.run_finished(path)
        sweep.add(name, path)
    return path


def methods_asked(words: str, registry: Registry) -> list[str]:
    """The names of --method: one, several with commas, or "all", which is every method but the controls."""
    if words != "all":
        names = list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
        return [registry.method(name).name for name in names] or [registry.method(words).name]
    return [name for name in registry.methods if name not in CONTROLS]


def configure_all(args: argparse.Namespace, registry: Registry) -> tuple[list[RunConfig], list[str]]:
    """Every run that was typed, task by task, and a line for each cell of the grid that is left out."""
    grid, left_out = cells(parse_schedules(args.schedule), parse_edits(args.edits))
    methods, tasks = methods_asked(args.method, registry), tasks_asked(args.task)
    return [configure(args, task, name, cell) for task in tasks for name in methods for cell in grid], left_out


def tasks_asked(words: str) -> list[str]:
    """The names of --task: one, or several with commas, each once."""
    return list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip())) or [words]


def configure(args: argparse.Namespace, task: str, method: str, cell: Cell) -> RunConfig:
    """The configuration as typed, for one task, one method and one cell of the grid; raises UsageError."""
    from editharness.abilities import ability_names
    from editharness.config import RunConfig, parse_checkpoints, parse_files
    from editharness.options import parse_settings

    if args.limit is not None and args.limit > cell.edits:
        raise UsageError(f"--limit {args.limit}: only {cell.edits} facts are written; ask at most that many")
    return RunConfig(
        method=method,
        task=task,
        model=args.model,
        revision=args.revision,
        preset=args.preset,
        settings=parse_settings(args.set),
        edits=cell.edits,
        limit=args.limit,
        seed=args.seed,
        schedule=cell.schedule,
        abilities=ability_names(args.abilities) if args.abilities else (),
        ability_limit=args.ability_limit,
        checkpoints=parse_checkpoints(args.checkpoints) if args.checkpoints is not None else (),
        stop_on_collapse=args.stop_on_collapse,
        dtype=args.dtype,
        device=device_asked(args),
        batch_size=args.batch_size,
        data=parse_files(args.data),
        corpus=args.corpus,
        moments=args.moments,
        train=args.train,
        plugins=tuple(args.plugin),
        output=args.output,
        trust_remote_code=args.trust_remote_code,
        passed={flag: _plain(value) for flag, value in args.passed.items()},
    )


def _plain(value: Any) -> Any:
    """What was typed, with names in place of paths: a record holds no folder of its author."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.name if isinstance(value, Path) else value


def known_options(spec: MethodSpec, config: RunConfig) -> None:
    """Settings and preset name; whether the preset has values for the model is known once that is loaded."""
    from editharness.presets import load_presets, resolve

    resolve(spec, None, config.settings)
    if config.preset is None:
        return
    names = {preset.name for preset in load_presets(spec.presets)} if spec.presets else set()
    if config.preset not in names:
        raise UnknownNameError("preset", config.preset, names, hint=f"(of method {spec.name})")


def known_checkpoints(spec: MethodSpec, config: RunConfig) -> None:
    """Whether batches end at the checkpoints; no schedule without carrying on has any."""
    from editharness.plan import find_checkpoints

    effective = config.schedule.limited(spec.max_batch)
    if config.checkpoints:
        find_checkpoints(config.checkpoints, config.edits, effective, config.seed, lambda ends: ())
    if config.stop_on_collapse and not effective.carry:
        raise UsageError(f"--stop-on-collapse: under {effective} no edit builds on another")


def known_data(files: Mapping[str, Path], datasets: Mapping[str, Any]) -> None:
    """Refuse a --data name that is no data set, or a file that is not there."""
    for name, path in files.items():
        if name not in datasets:
            raise UnknownNameError("data set", name, datasets, hint="(in --data)")
        if not path.is_file():
            raise DataError(f"--data {name}={path}: no such file")
