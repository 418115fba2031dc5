"""`editharness sweep`: a grid of runs from one file; what is missing is made by worker processes, then the board."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.cli.common import Table, complain, natural, notice, positive, show_table

if TYPE_CHECKING:
    from editharness.registry import Registry
    from editharness.store import RunRecord
    from editharness.sweeping.checking import DataHere
    from editharness.sweeping.dispatch import Died, Engine
    from editharness.sweeping.grid import SweepCell, SweepFile
    from editharness.sweeping.worker import Reply, Setup

ENGINES = ("local", "ray")
CELL_FAILED = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `sweep`."""
    parser.description = (
        "Run every cell of a grid that has no record yet, each in a worker process, and show the board. The same "
        "command goes on after an interruption."
    )
    parser.add_argument("file", type=Path, metavar="FILE.yaml", help="the grid; see docs/sweeps.md")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where records go (default: %(default)s)")
    parser.add_argument("--engine", choices=ENGINES, default="local", help="where workers live (default: %(default)s)")
    parser.add_argument(
        "--workers", type=positive, metavar="N",
        help="cells at once (default: 1; on Ray as many as the cluster has room for)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=positive, default=1, metavar="N",
        help="threads of each worker; another number may change the last bits of scores (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--address", metavar="HOST:PORT", help="the Ray cluster to use, or auto (default: start one)")
    parser.add_argument("--cpus", type=_amount, metavar="N", help="processors of a cell on Ray (default: 1)")
    parser.add_argument("--gpus", type=_amount, metavar="N", help="GPUs of a cell on Ray (default: 0)")
    parser.add_argument(
        "--retries", type=natural, default=2, metavar="N",
        help="how often a cell whose worker died goes on in another (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--fresh", action="store_true", help="make every cell anew, also those that have a record")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and its cost, and run nothing")
    parser.add_argument(
        "--format", choices=("table", "json", "markdown"), default="table", help="how to print the board or the plan"
    )


def run(args: argparse.Namespace) -> int:
    """0; 1 where a cell failed; what is wrong with the file is said before any cell runs."""
    from editharness.errors import UsageError

    for flag in ("address", "cpus", "gpus"):
        if getattr(args, flag) is not None and args.engine != "ray":
            raise UsageError(f"--{flag} is of --engine ray: add that, or leave it out")
    sweep = _read(args)
    if args.dry_run:
        _show_plan(sweep, args)
        return 0
    failed = _make_missing(sweep, args)
    _show_board([*sweep.made.values()], args.format)
    for cell, reason in failed:
        complain(f"{cell.file.path}, line {cell.line}: {cell}: {reason}")
    if failed:
        complain(f"{len(failed)} of {len(sweep.cells)} cells failed; the same command tries them again")
    return CELL_FAILED if failed else 0


@dataclass
class _Sweep:
    """A file that is checked, and which of its cells have a record; `made` grows as cells are done."""

    file: SweepFile
    cells: Sequence[SweepCell]
    registry: Registry
    data: DataHere
    records: Sequence[RunRecord]
    made: dict[str, Path]

    @property
    def missing(self) -> list[SweepCell]:
        return [cell for cell in self.cells if cell.id not in self.made]


def _read(args: argparse.Namespace) -> _Sweep:
    """The whole file, checked; raises UsageError for the first cell that could not run."""
    from editharness.registry import load_plugins
    from editharness.sweeping.checking import DataHere, check_cell, check_names
    from editharness.sweeping.grid import read_cells, read_file
    from editharness.sweeping.made import find_made, records_of

    file = read_file(args.file)
    registry = load_plugins(files=file.plugins)
    cells, left_out = read_cells(file, registry, args.output)
    for line in left_out:
        complain(line)
    for cell in cells:
        check_names(cell, registry)
    from editharness.opening import offline  # torch

    data = DataHere(registry)
    for cell in cells:
        check_cell(cell, registry, data, offline=offline() and not args.dry_run)
    there = records_of(args.output)
    made = {} if args.fresh else find_made(cells, there, registry, data)
    return _Sweep(file, cells, registry, data, [record for _, record in there], made)


def _make_missing(sweep: _Sweep, args: argparse.Namespace) -> list[tuple[SweepCell, str]]:
    """Make what is missing, add it to `made`; the cells that failed, each with its reason."""
    from editharness.store import check_writable
    from editharness.sweeping.dispatch import dispatch
    from editharness.sweeping.worker import Failed, Made, Setup

    missing = sweep.missing
    notice(f"{len(sweep.cells)} cells: {len(sweep.made)} have a record, {len(missing)} to make")
    if not missing:
        return []
    check_writable(args.output)
    engine, workers = _engine(Setup(sweep.file.plugins, args.threads), sweep, args)
    try:
        done = dispatch(missing, engine, workers, args.retries, _teller(len(missing)), fresh=args.fresh)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("what is done is kept: give the same command to go on") from None
    sweep.made |= {name: reply.record for name, reply in done.items() if isinstance(reply, Made)}
    return [(cell, reply.reason) for cell in missing if isinstance(reply := done[cell.id], Failed)]


def _engine(setup: Setup, sweep: _Sweep, args: argparse.Namespace) -> tuple[Engine[Any], int]:
    """The engine and how many workers it shall have."""
    if args.engine == "local":
        from editharness.sweeping.local import LocalEngine

        return LocalEngine(setup), args.workers or 1
    from editharness.sweeping.on_ray import RayEngine, connect

    needs = {"cpus": 1.0, "gpus": 0.0, **sweep.file.resources}
    needs |= {name: given for name in needs if (given := getattr(args, name)) is not None}
    ray, workers = connect(args.address, args.workers, needs)
    return RayEngine(setup, ray, args.output, needs), workers


def _teller(number: int) -> Callable[[SweepCell, Reply | Died, bool], None]:
    """Says what came of each cell, as it comes."""
    from editharness.sweeping.dispatch import Died
    from editharness.sweeping.worker import Failed

    done = 0

    def tell(cell: SweepCell, reply: Reply | Died, again: bool) -> None:
        nonlocal done
        done += not again
        if isinstance(reply, Died):
            complain(f"{cell}: its worker died ({reply.reason}){'; another goes on' if again else ''}")
        elif isinstance(reply, Failed):
            notice(f"[{done}/{number}] {cell}: failed")
        else:
            notice("\n".join([*reply.said, f"[{done}/{number}] {cell}: {reply.record} ({reply.seconds:.0f} s)"]))

    return tell


def _show_plan(sweep: _Sweep, args: argparse.Namespace) -> None:
    """A row per cell, with what is there of it, and the cost of what is missing."""
    from editharness.cli.dry_run import plan, seconds, table
    from editharness.sweeping.made import begun

    planned = [plan(cell.config, sweep.registry, sweep.data.cases) for cell in sweep.cells]
    kept = begun(sweep.cells)
    made = table(planned, sweep.registry)
    states = ["made" if cell.id in sweep.made else "begun" if cell.id in kept else "to make" for cell in sweep.cells]
    rows = [
        (cell.line, state, cell.config.model, cell.config.seed, *row)
        for cell, state, row in zip(sweep.cells, states, made.rows, strict=True)
    ]
    show_table(Table("plan", ("line", "state", "model", "seed", *made.columns), rows), args.format)
    known = [seconds(cell.config, sweep.records) for cell in sweep.missing]
    notice(_cost(sweep, [time for time in known if time is not None], args.workers or 1))


def _cost(sweep: _Sweep, known: Sequence[float], workers: int) -> str:
    missing = len(sweep.missing)
    text = f"{len(sweep.cells)} cells: {len(sweep.made)} have a record, {missing} to make"
    if not missing:
        return text
    if not known:
        return f"{text}; how long they take is unknown: no run like them is in {sweep.cells[0].config.output}"
    of = "" if len(known) == missing else f" for {len(known)} of them, the others unknown"
    by = f", about {sum(known) / workers:.0f} s with {workers} workers" if workers > 1 else ""
    return f"{text}; about {sum(known):.0f} s of work{of}{by}"


def _show_board(paths: Sequence[Path], form: str) -> None:
    """As `editharness leaderboard` shows these records."""
    from editharness.leaderboard.show import show_records

    if paths:
        show_records(paths, form)


def _amount(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: a number from 0")
    return number
