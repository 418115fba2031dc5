"""lm-eval task YAML: its keys are lm-eval's, what it includes is there, and one document renders and scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from editharness.errors import EditHarnessError, FileFault, UnknownNameError
from editharness.registry import Registry
from editharness.task_index import TaskFile, index_file
from editharness.testing.conformance import Finding
from editharness.testing.conformance.tasks import check_task_file
from editharness.types import Origin
from editharness.validating.lines import yaml_line

KEYS: Mapping[str, str] = {
    "arguments": "dataset_kwargs",
    "loads": "dataset_kwargs",
    "renders": "doc_to_text",
    "scores fakes": "metric_list",
    "answers without a model": "dataset_kwargs",
}
"""Check -> the key to look at."""
OWN_KEYS = ("include", "class", "group", "group_alias", "aggregate_metric_list")


def validate(path: Path, registry: Registry) -> str:
    """Which task it is and that it scores; raises FileFault for the first thing that is wrong."""
    for file in _files(path):
        _known_keys(file)
    try:
        task = index_file(path, Origin(path.name, "given"))
    except EditHarnessError as error:
        said = str(error).removeprefix(f"{path.name} given: ").removeprefix(f"{path}: ")
        raise FileFault(path, yaml_line(_text(path), ["task"]), "task", said, "give `task` one name") from None
    assert task is not None  # `validate` is called for a file with `task` or `group`
    return _group(path, task, registry) if task.kind == "group" else _task(path, task, registry)


def validate_part(path: Path, registry: Registry) -> str:
    """That a file which tasks include has only keys that lm-eval knows; raises FileFault."""
    for file in _files(path):
        _known_keys(file)
    return "to be included: its keys are known; validate a task that includes it"


def _task(path: Path, task: TaskFile, registry: Registry) -> str:
    _refuse_twin(path, task, registry)
    known = [folder.spec.path for folder in registry.task_folders]
    inside = any(path.resolve().is_relative_to(folder.resolve()) for folder in known)
    folders = known if inside else [*known, path.parent]
    report = check_task_file(task, registry, folders)
    for finding in report.findings:
        key = _key(finding)
        file, line = _place(path, key)
        raise FileFault(file, line, key, f"{finding.fault.seen} ({finding.fault.why})", finding.fault.mend)
    return f"task {task.name!r}, rendered and scored on {report.place}"


def _key(finding: Finding) -> str:
    """The key to look at; what lm-eval raised may be anywhere, but for a template's own error."""
    if finding.fault.seen.startswith("raised "):
        return "doc_to_text" if re.match("raised (Template|Undefined)", finding.fault.seen) else ""
    return KEYS.get(finding.check, "")


def _group(path: Path, task: TaskFile, registry: Registry) -> str:
    near = {found.name for file in path.parent.glob("*.yaml") if (found := _quietly(file)) is not None}
    known = {*registry.tasks, *near}
    for member in task.members:
        if member not in known:
            reason = str(UnknownNameError("task", member, known))
            raise FileFault(path, yaml_line(_text(path), ["task"]), "task", reason, "name tasks that have a YAML")
    return f"group {task.name!r} of {len(task.members)} tasks; validate each member's own file"


def _refuse_twin(path: Path, task: TaskFile, registry: Registry) -> None:
    """Two files with one task: lm-eval would take either."""
    registered = [registry.tasks[task.name].spec] if task.name in registry.tasks else []
    beside = [found for file in sorted(path.parent.glob("*.yaml")) if (found := _quietly(file)) is not None]
    for other in (*registered, *beside):
        # an installed copy of this very file is no other task
        if other.name == task.name and other.path.read_bytes() != path.read_bytes():
            reason = f"{task.name!r} is declared in {other.path.name} too"
            raise FileFault(path, yaml_line(_text(path), ["task"]), "task", reason, "give one of them another name")


def _quietly(path: Path) -> TaskFile | None:
    try:
        return index_file(path, Origin(path.name, "given"))
    except EditHarnessError:
        return None


def _files(path: Path) -> Iterator[Path]:
    """The file and those that it includes, outermost first; FileFault where one is not there."""
    yield path
    for included in _included(path):
        file = path.parent / included
        if not file.is_file():
            line = yaml_line(_text(path), ["include"])
            raise FileFault(path, line, "include", f"{included} is not there", "name a file beside this one")
        if file.resolve() != path.resolve():
            yield from _files(file)


def _included(path: Path) -> list[str]:
    found = re.findall(r"^include:\s*(.+?)\s*$", _text(path), re.M)
    return [name.strip("'\"") for value in found for name in re.split(r"[\[\],\s]+", value) if name]


def _known_keys(path: Path) -> None:
    from lm_eval.config.task import TaskConfig

    known = {*OWN_KEYS, *(field.name for field in fields(TaskConfig))}
    text = _text(path)
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if key.value not in known:
            reason = str(UnknownNameError("key", key.value, known)).split(": known")[0]
            raise FileFault(path, key.start_mark.line + 1, key.value, reason, "use a key of lm-eval's task YAML")


def _place(path: Path, key: str) -> tuple[Path, int]:
    """The file, of this one and those that it includes, that has the key, and the key's line."""
    for file in _files(path):
        if key and re.search(rf"^{re.escape(key)}\s*:", _text(file), re.M):
            return file, yaml_line(_text(file), [key])
    return path, 0


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
