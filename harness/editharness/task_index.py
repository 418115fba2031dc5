"""The lm-eval tasks and groups in a folder, read from their YAML alone: no lm_eval, none of its 14,000 own tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import yaml

from editharness.errors import PluginError
from editharness.types import Origin

Read = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class TaskFile:
    """A task (or a group of tasks) as its YAML declares it."""

    name: str
    kind: Literal["task", "group"]
    path: Path
    title: str = ""
    version: str = ""
    tags: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """`dataset_kwargs`: for our tasks, which data set and which form of question."""


# libyaml's parser reads our folder ten times faster than the one in Python; some builds of PyYAML lack it
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]  # either of the two is a class
    """Safe YAML in which `!function module.name` is just its text."""


def _text_of_tag(loader: Any, suffix: str, node: yaml.Node) -> Any:
    return f"!{suffix} {node.value}" if isinstance(node, yaml.ScalarNode) else None


_Loader.add_multi_constructor("!", _text_of_tag)


def index_folder(folder: Path, origin: Origin) -> list[TaskFile]:
    """Tasks and groups of every *.yaml under `folder`, sorted by path; raises PluginError for unreadable YAML."""
    read = cache(partial(_read, origin=origin))  # what many files include is read once
    return [task for path in sorted(folder.rglob("*.yaml")) for task in _declared(path, origin, read)]


def index_file(path: Path, origin: Origin) -> TaskFile | None:
    """What one file declares, with what it includes; None where it is only there to be included. PluginError."""
    return next(_declared(path, origin, partial(_read, origin=origin)), None)


def _declared(path: Path, origin: Origin, read: Read) -> Iterator[TaskFile]:
    """What one file declares; a file with neither `task` nor `group` is only there to be included."""
    config = _merged(path, origin, read, ())
    names = config.get("group", config.get("task"))
    if names is None:
        return
    if not isinstance(names, str):
        raise PluginError(f"{origin}: {path}: 'task' must be a name (a list of tasks needs 'group')")
    is_group = "group" in config
    metadata = config.get("metadata") or {}
    yield TaskFile(
        name=names,
        kind="group" if is_group else "task",
        path=path,
        title=str(config.get("group_alias" if is_group else "task_alias") or ""),
        version=str(metadata.get("version", "")) if isinstance(metadata, Mapping) else "",
        tags=_texts(config.get("tag")),
        members=_members(config.get("task")) if is_group else (),
        arguments=dict(config.get("dataset_kwargs") or {}),
    )


def _merged(path: Path, origin: Origin, read: Read, above: tuple[Path, ...]) -> dict[str, Any]:
    """A file over the files that it includes."""
    if path in above:
        raise PluginError(f"{origin}: {path} includes itself")
    config = dict(read(path))
    merged: dict[str, Any] = {}
    for included in _texts(config.pop("include", None)):
        merged |= _merged((path.parent / included).resolve(), origin, read, (*above, path))
    # a `task` belongs to the file that names it: an included one would give two files one name
    merged.pop("task", None)
    return merged | config


def _read(path: Path, origin: Origin) -> dict[str, Any]:
    try:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # a SafeLoader
    except OSError as error:
        raise PluginError(f"{origin}: task file {path}: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PluginError(f"{origin}: task file {path}: {' '.join(str(error).split())}") from error
    if not isinstance(config, dict):
        raise PluginError(f"{origin}: task file {path} holds no keys")
    return config


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(v) for v in value)


def _members(value: Any) -> tuple[str, ...]:
    """Names of a group's members; one may be written out in place, as a mapping."""
    parts = [value] if isinstance(value, str | dict) else list(value or ())
    return tuple(str(part.get("group") or part.get("task")) if isinstance(part, dict) else str(part) for part in parts)
