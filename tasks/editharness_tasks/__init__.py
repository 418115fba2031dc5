"""The lm-eval tasks that ship with editharness: one folder per protocol, YAML files thin over `case_task`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from editharness.hooks import hookimpl
from editharness.types import TaskFolder

FOLDERS = ("negation", "negation_plus", "negation_masked", "factcheck")


@hookimpl
def register_tasks(register: Callable[[TaskFolder], None]) -> None:
    """Offer the folders beside this file."""
    for folder in FOLDERS:
        register(TaskFolder(Path(__file__).parent / folder))
