"""From a file to its kind, and to whoever knows that kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from editharness.errors import DataError, FileFault
from editharness.registry import Registry
from editharness.validating import data, plugins, presets, records, tasks
from editharness.validating.data import READERS
from editharness.validating.lines import read_text

__all__ = ["READERS", "Valid", "validate"]

Validator = Callable[[Path, Registry], str]
_BY_KEY: Mapping[str, tuple[str, Validator]] = {
    "presets": ("presets", presets.validate),
    "group": ("task", tasks.validate),
    "task": ("task", tasks.validate),
}
"""Top-level key of a YAML -> kind and validator, the first that is there."""


DATA = (".json", ".jsonl", ".csv")


@dataclass(frozen=True)
class Valid:
    """A file without a fault: its kind in a word, and what was found in it."""

    path: Path
    kind: str
    said: str

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}, {self.said}"


def validate(path: Path, registry: Registry, *, reader: str = "") -> Valid:
    """What a valid file holds; raises FileFault with the first wrong line, or DataError where it cannot be read.

    `reader` names the data set whose reader takes a data file (or "pairs"); without it, the one that takes most of it.
    """
    path = path / "record.json" if (path / "record.json").is_file() else path
    if not path.is_file():
        raise DataError(f"{path}: {'is a folder; name a file in it' if path.is_dir() else 'no such file'}")
    if reader or path.suffix == ".csv":
        return Valid(path, "data", data.validate(path, registry, reader or "pairs"))
    if path.suffix == ".py":
        return Valid(path, "plugin", plugins.validate(path, registry))
    if path.suffix in (".yaml", ".yml") or path.name.endswith("_yaml"):
        kind, validator = _yaml(path)
        return Valid(path, kind, validator(path, registry))
    if path.name == "record.json" or _is_record(path):
        return Valid(path, "record", records.validate(path))
    if path.suffix not in DATA:
        mend = f"say --as NAME for data; data ends in {', '.join(DATA)}, tasks and presets in .yaml, a plugin in .py"
        raise FileFault(path, 0, "", "its name says nothing of what it is", mend)
    return Valid(path, "data", data.validate(path, registry))


def _yaml(path: Path) -> tuple[str, Validator]:
    """The kind of a YAML file by its keys."""
    try:
        node = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", None) or "cannot be parsed")
        mend = "check indentation, brackets and quotes on and above it"
        raise FileFault(path, mark.line + 1 if mark else 0, "", f"no YAML: {problem}", mend) from None
    keys = {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    for key, found in _BY_KEY.items():
        if key in keys:
            return found
    if path.name.startswith("_") and keys:
        return "part of tasks", tasks.validate_part
    mend = "begin a task with `task: NAME`, a group with `group: NAME`, option values with `presets:`"
    raise FileFault(path, 1, "", "is neither a task, a group nor a file of presets", mend)


def _is_record(path: Path) -> bool:
    """Whether the first thing in a file is an object with the fields of a record."""
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and {"config", "rows", "versions"} <= found.keys()
