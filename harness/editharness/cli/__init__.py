"""The command line: `editharness COMMAND [options]`. Each command is a module with `arguments(parser)` and `run(args)`.

A command's module is imported only when it is typed, and imports torch only inside `run`, so that help is instant.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from editharness import __version__
from editharness.allocation import keep_freed_memory
from editharness.errors import EditHarnessError, UnknownNameError

if TYPE_CHECKING:
    from editharness.cli.common import Parser

PROGRAM = "editharness"
USAGE_ERROR, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
ASKED = "_ARGCOMPLETE"
"""Environment variable by which a shell asks for completions."""
TRACEBACK = "EDITHARNESS_TRACEBACK"
"""Environment variable: set it to see where an error of one line comes from."""


@dataclass(frozen=True)
class Command:
    """A command: where it is defined and its line in the help."""

    module: str
    summary: str


COMMANDS: Mapping[str, Command] = {
    "eval": Command("editharness.cli.eval", "write edits into a model and measure what became of it"),
    "sweep": Command("editharness.cli.sweep", "run what is missing of a grid, from a YAML file, and show its board"),
    "edit": Command("editharness.cli.edit", "write facts of your own and save a checkpoint, an adapter or a patch"),
    "apply": Command("editharness.cli.apply", "put a saved patch on a model, or take it off, bit for bit"),
    "judge": Command("editharness.cli.judge", "judge the stored answers of runs; export and import human labels"),
    "leaderboard": Command("editharness.cli.leaderboard", "show the records of runs as tables"),
    "verify": Command("editharness.cli.verify", "recompute records from their answers; exit 1 where one is not so"),
    "strata": Command("editharness.cli.strata", "scores of one run with and without the cases that bear a mark"),
    "compare": Command("editharness.cli.compare", "two runs case by case: differences, intervals, what changed"),
    "runs": Command("editharness.cli.runs", "list the records below a folder, quickly"),
    "submit": Command("editharness.cli.submit", "verify a run and pack it for the public boards"),
    "site": Command("editharness.cli.site", "the boards of records as HTML pages that need no server"),
    "data": Command("editharness.cli.data", "build cases from question-answer pairs of your own, and check them"),
    "trace": Command("editharness.cli.trace", "causal tracing: which token and which layer decide the answer"),
    "geometry": Command(
        "editharness.cli.geometry", "target values of old, new and negated sentences: distances, a plot"
    ),
    "lm-eval": Command("editharness.cli.lm_eval", "lm-eval's own command, with edited models: --model editharness"),
    "doctor": Command("editharness.cli.doctor", "look at versions, devices, caches, plugins and the network"),
    "cache": Command("editharness.cli.cache", "show what is kept in the cache folder, or remove it"),
    "completion": Command("editharness.cli.completion", "print the script by which a shell completes what is typed"),
    "new-method": Command("editharness.cli.new", "write a package with a method that works, to start from"),
    "new-protocol": Command("editharness.cli.new", "write a package with a protocol that works, to start from"),
    "new-dataset": Command("editharness.cli.new", "write a package with a data set and its questions, to start from"),
    "new-judge": Command("editharness.cli.new", "write a package with a judge that works, to start from"),
    "check": Command(
        "editharness.cli.check", "does a plugin keep its promises? methods, protocols, data sets, judges, tasks"
    ),
    "stats": Command("editharness.cli.stats", "second moments of keys: compute, import published ones, list"),
    "validate": Command("editharness.cli.validate", "tasks, data, presets, plugins, records: the first wrong line"),
    "methods": Command("editharness.cli.listing", "list the editing methods; NAME shows its options and presets"),
    "protocols": Command("editharness.cli.listing", "list the evaluation protocols"),
    "metrics": Command("editharness.cli.metrics", "explain the columns of boards: formula, direction, source"),
    "tasks": Command("editharness.cli.listing", "list the lm-eval tasks that come with plugins"),
    "datasets": Command("editharness.cli.listing", "list the data sets and where they come from"),
    "models": Command("editharness.cli.listing", "list packaged models and models with presets; NAME shows its card"),
    "judges": Command("editharness.cli.listing", "list the judges of free answers; NAME shows its options"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status: 0, 2 for what the user can mend (one line says what), 130 when interrupted."""
    keep_freed_memory()
    try:
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except EditHarnessError as error:
        if os.environ.get(TRACEBACK):
            raise
        print(f"{PROGRAM}: {_one_line(error)}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        print(": ".join([PROGRAM, "interrupted", *map(str, stop.args)]), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader (head, less) has gone: nothing left to say, and the flush at exit must not complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _one_line(error: Exception) -> str:
    """The error's text; what it quotes may come from a stranger's file, and must not act on a terminal."""
    from editharness.leaderboard.text import plain

    return plain(str(error), 2000)


def parser_of(name: str, module: Any) -> Parser:
    """The parser of a command, given its module."""
    from editharness.cli.common import Parser, add_loudness

    summary = COMMANDS[name].summary
    parser = Parser(prog=f"{PROGRAM} {name}", description=summary[0].upper() + summary[1:] + ".")
    parser.set_defaults(command=name)
    add_loudness(parser)
    module.arguments(parser)
    return parser


def _dispatch(argv: list[str]) -> int:
    if ASKED in os.environ:  # a shell wants to know what may come next
        from editharness.cli.completion import complete

        complete(os.environ.get("COMP_LINE", ""))
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"{PROGRAM} {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        kind = "option" if argv[0].startswith("-") else "command"
        known = ["--help", "--version"] if kind == "option" else COMMANDS
        raise UnknownNameError(kind, argv[0], known, hint=f"(see {PROGRAM} --help)")
    return _run(argv[0], argv[1:])


def _run(name: str, rest: list[str]) -> int:
    import importlib

    from editharness.cli.common import loudness

    module = importlib.import_module(COMMANDS[name].module)
    try:
        args = parser_of(name, module).parse_args(rest)
    except SystemExit as stop:  # --help has been printed
        return int(stop.code or 0)
    with loudness(args):
        return int(module.run(args))


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [options]",
            "",
            "Measures what knowledge editing really does to a language model.",
            "",
            "commands:",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help shows a command's options; {PROGRAM} --version the version.",
        ]
    )
