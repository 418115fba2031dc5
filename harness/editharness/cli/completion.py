"""`editharness completion bash|zsh|fish`: completion of commands, options and names, by argcomplete.

    eval "$(editharness completion bash)"            # in ~/.bashrc; zsh alike
    editharness completion fish > ~/.config/fish/completions/editharness.fish

The shell asks editharness itself, so that methods, tasks and presets of plugins are known, too.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from editharness.cli import COMMANDS, PROGRAM, parser_of

if TYPE_CHECKING:
    from editharness.registry import Registry

SHELLS = ("bash", "zsh", "fish")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the shell."""
    parser.add_argument("shell", choices=SHELLS, help="the shell to print a script for")


def run(args: argparse.Namespace) -> int:
    """Print the script that the shell is to evaluate."""
    from argcomplete.shell_integration import shellcode

    print(shellcode([PROGRAM], shell=args.shell))
    return 0


def complete(line: str) -> None:
    """Answer a shell that asks (`line` is what was typed so far), and exit."""
    import argcomplete

    top = argparse.ArgumentParser(prog=PROGRAM)
    commands = top.add_subparsers()
    typed = line.split()
    for name, command in COMMANDS.items():
        parser = commands.add_parser(name, help=command.summary)
        if name in typed:  # its module alone is imported
            parser = parser_of(name, importlib.import_module(command.module))
            commands.choices[name] = parser
            _name_values(parser, name)
    argcomplete.autocomplete(top, always_complete_options="long")


def _name_values(parser: argparse.ArgumentParser, command: str) -> None:
    """Say which names go after which option."""
    for action in parser._actions:
        names = _NAMES.get(action.dest)
        if action.dest == "name":
            names = _LISTED.get(command)
        if names is not None and not action.choices:
            action.completer = _completer(names)  # type: ignore[attr-defined]  # argcomplete's own way


def _completer(names: Callable[[Registry], Iterable[str]]) -> Any:
    def found(prefix: str, **_: Any) -> list[str]:
        from editharness.registry import load_plugins

        before, comma, _last = prefix.rpartition(",")
        return [f"{before}{comma}{name}" for name in names(load_plugins())]

    return found


def _tasks(registry: Registry) -> Iterable[str]:
    return [f"{protocol}_{data}" for protocol in registry.protocols for data in registry.datasets]


def _presets(registry: Registry) -> Iterable[str]:
    from editharness.cli.catalogue import presets_of

    return dict.fromkeys(preset.name for _, preset in presets_of(registry))


def _schedules(registry: Registry) -> Iterable[str]:
    return ("single", "sequential", "all", "batch:", "fresh:")


_NAMES: dict[str, Callable[[Registry], Iterable[str]]] = {
    "method": lambda registry: registry.methods,
    "task": _tasks,
    "model": lambda registry: registry.models,
    "preset": _presets,
    "schedule": _schedules,
    "judge": lambda registry: registry.judges,
}
_LISTED: dict[str, Callable[[Registry], Iterable[str]]] = {
    "methods": lambda registry: registry.methods,
    "protocols": lambda registry: registry.protocols,
    "tasks": lambda registry: registry.tasks,
    "datasets": lambda registry: registry.datasets,
    "models": lambda registry: registry.models,
    "judges": lambda registry: registry.judges,
    "check": lambda registry: [
        *registry.methods,
        *registry.protocols,
        *registry.datasets,
        *registry.judges,
        *registry.tasks,
    ],
}
