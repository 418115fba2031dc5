"""Importing plugins, each by its distribution's name and version.

pluggy's own loader skips an entry point whose name is taken, lets an ImportError escape without saying whose it is,
and notices a misspelt hook only when asked. Hence a loader of our own.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pluggy

from editharness.errors import PluginError
from editharness.hooks import GROUP, Hooks
from editharness.types import Origin

DISABLE = "EDITHARNESS_DISABLE_PLUGINS"
"""Environment variable: distributions whose plugins are not loaded, commas between."""


@dataclass(frozen=True)
class Plugin:
    """A loaded plugin: the name of its entry point, the module (or object) behind it, and its distribution."""

    name: str
    origin: Origin
    module: Any

    def __str__(self) -> str:
        return f"plugin {self.name!r} of {self.origin}"


def load_all(
    *, entry_points: Iterable[EntryPoint] | None = None, disabled: Iterable[str] | None = None,
    files: Iterable[Path] = (),
) -> tuple[pluggy.PluginManager, tuple[Plugin, ...]]:  # fmt: skip
    """Import and check every plugin, ours first, then `files`; raises PluginError for the first that cannot be used."""
    found = importlib.metadata.entry_points(group=GROUP) if entry_points is None else entry_points
    blocked = {_normal(name) for name in (_from_environment() if disabled is None else disabled)}
    wanted = sorted((e for e in found if _normal(origin_of(e).distribution) not in blocked), key=_order)
    _refuse_shared_names(wanted)
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    loaded = [_load(manager, entry) for entry in wanted]
    return manager, (*loaded, *(_load_file(manager, path) for path in files))


def origin_of(entry: EntryPoint) -> Origin:
    """The distribution of an entry point; one made by hand has none and goes under its own value."""
    dist = entry.dist
    return Origin(entry.value, "(no distribution)") if dist is None else Origin(dist.name, dist.version)


def one_line(error: BaseException) -> str:
    """An error as one line: its type, and its text with the line breaks taken out."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _load(manager: pluggy.PluginManager, entry: EntryPoint) -> Plugin:
    origin = origin_of(entry)
    mend = f"mend or uninstall it, or set {DISABLE}={origin.distribution}"
    try:
        plugin = Plugin(entry.name, origin, entry.load())
    except (Exception, SystemExit) as error:
        raise PluginError(f"plugin {entry.name!r} of {origin} cannot be loaded: {one_line(error)}; {mend}") from error
    return _registered(manager, plugin, mend)


def _load_file(manager: pluggy.PluginManager, path: Path) -> Plugin:
    """A plugin that is one file and no package: its origin is the file's name and the sha256 of its content."""
    name = path.stem
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise PluginError(f"--plugin {path}: cannot be read ({error.strerror})") from None
    if (why := _taken(name, path)) is not None:
        raise PluginError(f"--plugin {path}: {name!r} {why}; rename the file, to my_method.py say")
    found = importlib.util.spec_from_file_location(name, path.resolve())
    if found is None or found.loader is None:
        raise PluginError(f"--plugin {path}: is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module  # so that "my_method:Mine" refers to this file
    try:
        found.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginError(f"--plugin {path}{_line(error, path)}: {one_line(error)}") from error
    origin = Origin(path.name, f"sha256:{digest[:12]}")
    return _registered(manager, Plugin(name, origin, module), f"mend {path}")


def _taken(name: str, path: Path) -> str | None:
    """Why a file cannot be imported under its name; None where it can."""
    if not name.isidentifier():
        return "is no name of a module"
    known = sys.modules.get(name)
    spec = known.__spec__ if known is not None else importlib.util.find_spec(name)
    if spec is None or (spec.origin and Path(spec.origin).resolve() == path.resolve()):
        return None
    return "is a module that is installed"


def _line(error: BaseException, path: Path) -> str:
    """Where in the file: the last of its lines that was running; nothing where none was."""
    if isinstance(error, SyntaxError) and error.filename == str(path.resolve()):
        return f", line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path.resolve())]
    return f", line {lines[-1]}" if lines else ""


def _registered(manager: pluggy.PluginManager, plugin: Plugin, mend: str) -> Plugin:
    """The plugin, known to pluggy; raises PluginError where a hook is misspelt or none is there."""
    try:
        manager.register(plugin.module, plugin.name)
        # after each one, so that a misspelt hook is known by the plugin that has it
        manager.check_pending()
    except (pluggy.PluginValidationError, ValueError) as error:
        raise PluginError(f"{plugin} does not fit: {one_line(error)}; {mend}") from error
    if not manager.get_hookcallers(plugin.module):
        raise PluginError(f"{plugin} offers nothing: put @editharness.hookimpl above its register_ functions; {mend}")
    return plugin


def _refuse_shared_names(entries: Iterable[EntryPoint]) -> None:
    seen: dict[str, Origin] = {}
    for entry in entries:
        origin = origin_of(entry)
        if entry.name in seen:
            raise PluginError(
                f"two plugins are named {entry.name!r}: {seen[entry.name]} and {origin}; "
                f"uninstall one, or set {DISABLE}={origin.distribution}"
            )
        seen[entry.name] = origin


def _order(entry: EntryPoint) -> tuple[bool, str, str]:
    distribution = _normal(origin_of(entry).distribution)
    return distribution != GROUP, distribution, entry.name


def _from_environment() -> list[str]:
    return [name for name in os.environ.get(DISABLE, "").split(",") if name.strip()]


def _normal(name: str) -> str:
    """Distribution names are equal up to case and the kind of dash (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
