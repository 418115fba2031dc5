"""What commands share: a parser whose complaints are one line, and tables for a terminal, a pipe, JSON, Markdown."""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TextIO

from editharness.errors import UnknownNameError, UsageError
from editharness.progress import LOUDNESS

FORMATS = ("table", "json", "markdown")


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are UsageErrors, with the nearest flag for one that is unknown; no abbreviations."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **settings})

    def error(self, message: str) -> NoReturn:
        """Raise UsageError: `cli.main` prints it."""
        raise UsageError(f"{message} (see {self.prog} --help)")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse, and `passed`: the flags that were typed, apart from the defaults.

        What is left over is an UnknownNameError or UsageError.
        """
        words = list(sys.argv[1:] if args is None else args)
        known, extra = self.parse_known_args(words, namespace)
        self.refuse(extra)
        typed = {word.partition("=")[0] for word in words}
        flags = [action.dest for action in self._actions if typed.intersection(action.option_strings)]
        known.passed = {dest: getattr(known, dest) for dest in flags if hasattr(known, dest)}
        return known

    def refuse(self, extra: Sequence[str]) -> None:
        """Complain about the first of the words that no argument took."""
        if not extra:
            return
        if extra[0].startswith("-"):
            raise UnknownNameError("option", extra[0].partition("=")[0], self._option_string_actions, self._see)
        raise UsageError(f"one argument too many: {extra[0]!r} {self._see}")

    @property
    def _see(self) -> str:
        return f"(see {self.prog} --help)"


@dataclass(frozen=True)
class Table:
    """Rows under named columns; a cell is text, a number, a truth value, None, or a list of texts."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    empty: str = "none"


@dataclass(frozen=True)
class Page:
    """One thing in full: facts by name, then tables."""

    title: str
    facts: Mapping[str, object]
    tables: Sequence[Table] = field(default=())


def positive(text: str) -> int:
    """A whole number from 1, for argparse."""
    number = natural(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 1")
    return number


def natural(text: str) -> int:
    """A whole number from 0, for argparse."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from 0")
    return int(text)


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add --device and --device-map; `device_asked` reads both."""
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:0, mps (default: %(default)s)")
    parser.add_argument(
        "--device-map", type=device_map, metavar="MAP",
        help='spread the model over devices: auto, or JSON {"MODULE": DEVICE, ...}, written out or in a file',
    )  # fmt: skip


def device_map(text: str) -> str:
    """ "auto", or a map as JSON in one line, written out or read from a file; for argparse."""
    if text == "auto":
        return text
    if not text.startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, ValueError):
            raise argparse.ArgumentTypeError(f'{text!r}: auto, {{"MODULE": DEVICE, ...}} or a file with that') from None
    try:
        places = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"no JSON: {error}") from None
    if not isinstance(places, dict) or not places:
        raise argparse.ArgumentTypeError('write {"MODULE": DEVICE, ...}, for every module of the model')
    return json.dumps(places)


def device_asked(args: argparse.Namespace) -> str:
    """The device, "auto" or the map; raises UsageError for both flags."""
    if args.device_map is None:
        return str(args.device)
    if "device" in args.passed:
        raise UsageError("--device and --device-map both say where the model goes: leave one of them out")
    return str(args.device_map)


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add --format."""
    parser.add_argument("--format", choices=FORMATS, default="table", help="how to print (default: table)")


def add_loudness(parser: argparse.ArgumentParser) -> None:
    """Add --quiet and --verbose, which every command has."""
    group = parser.add_argument_group("how much is said").add_mutually_exclusive_group()
    group.add_argument("--quiet", action="store_true", help="no progress and no notices: results and complaints alone")
    group.add_argument("--verbose", action="store_true", help="every stage as a line, and what plugins log")


@contextmanager
def loudness(args: argparse.Namespace) -> Iterator[None]:
    """While this is open, progress and notices are as --quiet and --verbose want them; no record tells of either."""
    for flag in ("quiet", "verbose"):
        args.passed.pop(flag, None)
    token = LOUDNESS.set("quiet" if args.quiet else "verbose" if args.verbose else "usual")
    logger, handler = logging.getLogger("editharness"), logging.StreamHandler(sys.stderr)
    level = logger.level
    if args.verbose:
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        LOUDNESS.reset(token)
        logger.removeHandler(handler)
        logger.setLevel(level)


def notice(text: str) -> None:
    """A line beside the result, on stderr so that stdout stays the result; not under --quiet."""
    if LOUDNESS.get() != "quiet":
        complain(text)


def complain(text: str) -> None:
    """A line about what went wrong or was left out, on stderr, whatever was asked for."""
    print(text, file=sys.stderr)


def parse_bytes(text: str) -> int:
    """An argument such as 8GB, 500MB or 1.5TB in bytes."""
    units = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MGT]B)", text.strip(), re.IGNORECASE)
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r}: write a size, as in 8GB or 500MB")
    return int(float(found[1]) * units[found[2].upper()])


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Declare --plugin, whose files `load_plugins(files=args.plugin)` takes."""
    parser.add_argument(
        "--plugin", action="append", type=Path, default=[], metavar="FILE.py", help="also load this file as a plugin"
    )


def show_table(table: Table, form: str, stream: TextIO | None = None) -> None:
    """Print a table in one of FORMATS."""
    stream = stream or sys.stdout
    if form == "json":
        _json(_records(table), stream)
    elif form == "markdown":
        print(_markdown(table), file=stream)
    else:
        _plain(table, stream)


def show_page(page: Page, form: str, stream: TextIO | None = None) -> None:
    """Print a page in one of FORMATS."""
    stream = stream or sys.stdout
    if form == "json":
        tables = {_key(table.title): _records(table) for table in page.tables}
        _json({_key(k): _plain_value(v) for k, v in page.facts.items()} | tables, stream)
    elif form == "markdown":
        facts = "\n".join(f"- {name}: {words(value)}" for name, value in page.facts.items() if words(value))
        parts = [f"# {page.title}", facts, *(f"## {t.title}\n\n{_markdown(t)}" for t in page.tables)]
        print("\n\n".join(part for part in parts if part), file=stream)
    else:
        width = max(map(len, page.facts), default=0)
        print(page.title, file=stream)
        for name, value in page.facts.items():
            if words(value):
                print(f"  {name:<{width}}  {words(value)}", file=stream)
        for table in page.tables:
            print(f"\n{table.title}", file=stream)
            _plain(table, stream)


def words(value: object) -> str:
    """A cell as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, list | tuple):
        return ", ".join(words(part) for part in value)
    return str(value)


def _plain(table: Table, stream: TextIO) -> None:
    """For a person: fitted to a terminal, unbroken lines into a pipe; a column without any entry is left out."""
    cells = [[words(cell) for cell in row] for row in table.rows]
    used = [i for i in range(len(table.columns)) if any(row[i] for row in cells)]
    headers = [table.columns[i] for i in used]
    cells = [[row[i] for i in used] for row in cells]
    if not cells:
        print(table.empty, file=stream)
    elif stream.isatty():
        _rich(headers, cells, stream)
    else:
        from tabulate import tabulate

        print(tabulate(cells, headers=headers, tablefmt="simple", disable_numparse=True), file=stream)


def _rich(headers: Sequence[str], cells: Sequence[Sequence[str]], stream: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, header in enumerate(headers):
        shown.add_column(header, style="bold" if i == 0 else "", no_wrap=i == 0, overflow="fold")
    for row in cells:
        shown.add_row(*map(Text, row))
    Console(file=stream, highlight=False).print(shown)


def _markdown(table: Table) -> str:
    if not table.rows:
        return table.empty
    lines = [table.columns, ["---"] * len(table.columns)]
    lines += [[words(cell).replace("|", "\\|") for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _records(table: Table) -> list[dict[str, object]]:
    names = [_key(column) for column in table.columns]
    return [dict(zip(names, map(_plain_value, row), strict=True)) for row in table.rows]


def _json(value: object, stream: TextIO) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False), file=stream)


def _plain_value(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return [_plain_value(part) for part in value] if isinstance(value, list | tuple) else value


def _key(title: str) -> str:
    return title.replace(" ", "_")
