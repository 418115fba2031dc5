"""The lm-eval tasks that ship with editharness: one folder per protocol, YAML files thin over `case_task`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from editharness.hooks import hookimpl
from editharness.types import TaskFolder


@hookimpl
def register_tasks(register: Callable[[TaskFolder], None]) -> None:
    """Offer the folders beside this file."""
    for protocol in ("negation", "wild", "synthetic", "modules"):
        register(TaskFolder(Path(__file__).parent / protocol))
