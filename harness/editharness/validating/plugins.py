"""Plugins that are one file: they load, what they offer can be imported, and reading alone finds nothing wrong."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from editharness.errors import FileFault, NotCachedError, PluginError
from editharness.registry import Registered, Registry, load_plugins
from editharness.testing.conformance import Report, check_dataset, check_judge, check_method, check_protocol

_KINDS = {"methods": "method", "protocols": "protocol", "datasets": "data set", "judges": "judge"}
_LINE = re.compile(r", line (\d+): ")


def validate(path: Path, registry: Registry) -> str:
    """What the file offers; raises FileFault for the first thing that is wrong with it."""
    try:
        found = load_plugins(files=[path])
    except PluginError as error:
        line = _LINE.search(str(error))
        said = str(error).removeprefix(f"--plugin {path}").removeprefix(line[0] if line else ": ")
        raise FileFault(path, int(line[1]) if line else 0, "", said, "docs/extending.md has one that works") from None
    offered = []
    for kind, noun in _KINDS.items():
        for name, entry in getattr(found, kind).items():
            if entry.origin.distribution == path.name:
                offered.append(f"{noun} {name!r}")
                _refuse(path, found, kind, entry)
    if any(folder.origin.distribution == path.name for folder in found.task_folders):
        offered.append("a folder of tasks")
    return "offers " + ", ".join(offered or ["hooks that observe runs"])


def _refuse(path: Path, registry: Registry, kind: str, entry: Registered[Any]) -> None:
    """Raise FileFault for what is wrong with one thing that the file offers."""
    try:
        code = registry.resolve(entry.spec.ref)
    except PluginError as error:
        said = str(error).removeprefix(f"{entry.origin}: ")
        mend = f'write ref="{path.stem}:NAME" with the name of a class or function in this file'
        raise FileFault(path, _mention(path, entry.spec.ref), "ref", said, mend) from None
    for report in _reports(registry, kind, entry.spec):
        for finding in report.findings:
            line = _LINE.search(finding.fault.seen)
            seen = finding.fault.seen[line.end() :] if line else finding.fault.seen
            at = int(line[1]) if line else _defined(code)
            raise FileFault(path, at, entry.spec.name, f"{seen} ({finding.fault.why})", finding.fault.mend)


def _reports(registry: Registry, kind: str, spec: Any) -> Iterator[Report]:
    """The checks that run nothing."""
    if kind == "methods":
        yield check_method(spec, registry, only=("spec", "source"))
    elif kind == "protocols":
        yield check_protocol(spec, registry, only=("spec", "hash", "tasks"))
    elif kind == "judges":
        yield check_judge(spec, registry, only=("spec", "identity"))
    else:
        try:
            yield check_dataset(spec, registry, only=("spec", "licence"))
        except NotCachedError:  # there is no file here to read
            return


def _defined(code: Any) -> int:
    """The line where a class or function begins; 0 where its source is not to be had."""
    try:
        return inspect.getsourcelines(code)[1]
    except (OSError, TypeError):
        return 0


def _mention(path: Path, words: str) -> int:
    """The first line that holds these words; 0 where none does."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((number for number, line in enumerate(lines, start=1) if words in line), 0)
