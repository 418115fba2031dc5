"""`editharness compare A B`: two runs case by case."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.cli.common import Table, positive, show_table
from editharness.errors import UnknownNameError

if TYPE_CHECKING:
    from editharness.comparing import Compared, Difference, Side
    from editharness.comparing.cases import Changed

_COLUMNS = ("column", "n", "A", "B", "B - A", "95 % interval", "only A", "only B", "McNemar p")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Pair the cases of two runs: per column the difference B - A with its interval, McNemar's test where scores "
        "are 0 or 1, and the cases that changed. Runs that cannot be compared are refused by the field that differs."
    )
    parser.add_argument("a", type=Path, metavar="A", help="a run's folder")
    parser.add_argument("b", type=Path, metavar="B", help="another's")
    parser.add_argument("--row", help="compare this row (a control) of both, not the methods")
    parser.add_argument(
        "--allow-different", action="append", default=[], metavar="FIELD",
        help="compare although this differs: model, schedule, edits, cases",
    )  # fmt: skip
    parser.add_argument("--cases", type=positive, metavar="N", help="show N cases that changed, with their texts")
    parser.add_argument("--column", help="in which column they changed (default: the one that orders the board)")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE", help="the file of a data set")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the comparison."""
    from editharness.comparing import compare, read_side

    a, b = read_side(args.a, args.row), read_side(args.b, args.row)
    made = compare(a, b, args.allow_different)
    column = _column(args.column, made)
    cases = _cases(a, b, column, args) if args.cases else []
    if args.json:
        print(json.dumps(_data(made, column, cases), indent=2))
        return 0
    _show(made)
    for case in cases:
        _show_case(case, column)
    return 0


def _column(named: str | None, made: Compared) -> str:
    names = [one.name for one in made.columns]
    if named is not None and named not in names:
        raise UnknownNameError("column", named, names)
    ranked = made.a.record.protocol.ranked_by
    return named or (ranked if ranked in names else next(iter(names), ""))


def _cases(a: Side, b: Side, column: str, args: argparse.Namespace) -> list[Changed]:
    from editharness.comparing.cases import changed_cases
    from editharness.config import parse_files
    from editharness.registry import load_plugins
    from editharness.verifying import Here

    here = Here(load_plugins(), parse_files(args.data), offline=bool(os.environ.get("HF_HUB_OFFLINE")))
    return changed_cases(a, b, column, args.cases, here)


def _show(made: Compared) -> None:
    from editharness.leaderboard.text import plain

    for name, side in (("A", made.a), ("B", made.b)):
        record = side.record
        about = f"{record.task}, {record.schedule.asked}, {record.schedule.edits} edits, seed {record.schedule.seed}"
        print(plain(f"{name}  {side.row} ({record.id}): {about}"))
    if made.allowed:
        print(plain(f"although these differ: {', '.join(made.allowed)}"))
    print("in %, except p; the interval is of B - A over the cases that both have\n")
    show_table(Table("columns", _COLUMNS, [_row(one) for one in made.columns], empty="no column in common"), "table")


def _row(one: Difference) -> Sequence[object]:
    from editharness.leaderboard.text import plain

    bounds = "" if one.low is None or one.high is None else f"[{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
    p = "" if one.p is None else f"{one.p:.2g}"
    shares = [_percent(one.a), _percent(one.b), _percent(one.difference, sign=True)]
    return [plain(one.name, 40), one.n, *shares, bounds, one.only_a, one.only_b, p]


def _percent(value: float | None, *, sign: bool = False) -> str:
    return "" if value is None else f"{100 * value:+.1f}" if sign else f"{100 * value:.1f}"


def _show_case(case: Changed, column: str) -> None:
    from editharness.leaderboard.text import plain

    print("\n" + plain(f"{case.case} ({case.subject}): {column} {case.a:g} -> {case.b:g}"))
    for said in case.said:
        about = f"{said.task} {said.arm} {said.moment}"
        print("  " + plain(f"{about}: {said.prompt}" if said.prompt else about, 300))
        if said.expected:
            print("    expected: " + plain(said.expected))
        for name, text in (("A", said.a), ("B", said.b)):
            print(f"    {name}: " + plain("(no text)" if text is None else text))


def _data(made: Compared, column: str, cases: Sequence[Changed]) -> dict[str, Any]:
    sides = {
        name: {"id": side.record.id, "row": side.row, "task": side.record.task, "command": side.record.command}
        for name, side in (("a", made.a), ("b", made.b))
    }
    changed = [{**vars(case), "said": [vars(said) for said in case.said]} for case in cases]
    return {
        **sides,
        "allowed": list(made.allowed),
        "columns": [vars(one) for one in made.columns],
        "changed_in": column,
        "cases": changed,
    }
