"""The lm-eval tasks that ship with editharness: one folder per protocol, YAML files thin over `case_task`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from editharness.hooks import hookimpl
from editharness.types import TaskFolder


@hookimpl
def register_tasks(register: Callable[[TaskFolder], None]) -> None:
    """Offer every folder beside this file that holds tasks."""
    for folder in sorted({path.parent for path in Path(__file__).parent.glob("*/[!_]*.yaml")}):
        register(TaskFolder(folder))
