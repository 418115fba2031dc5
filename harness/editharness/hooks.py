"""The plugin surface: what a distribution may offer (entry-point group "editharness") and what it may observe.

# pyproject.toml                              # my_plugin.py
[project.entry-points.editharness]            from editharness import hookimpl
mine = "my_plugin"                            @hookimpl
                                              def register_methods(register): register(MethodSpec(...))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from editharness.types import DatasetSpec, JudgeSpec, MethodSpec, ModelSpec, ProtocolSpec, Step, TaskFolder

GROUP = "editharness"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Hooks:
    """All hooks. None is `firstresult`: the harness sees every registration and refuses two of one name."""

    @hookspec
    def register_methods(self, register: Callable[[MethodSpec], None]) -> None:
        """Offer editing methods: call `register` once per method. Called once, when a command starts."""

    @hookspec
    def register_protocols(self, register: Callable[[ProtocolSpec], None]) -> None:
        """Offer evaluation protocols: how cases become edits and questions, and how answers become columns."""

    @hookspec
    def register_datasets(self, register: Callable[[DatasetSpec], None]) -> None:
        """Offer data sets: where the file comes from and the function that reads it into cases."""

    @hookspec
    def register_models(self, register: Callable[[ModelSpec], None]) -> None:
        """Offer small models that ship inside a package, under a name for --model."""

    @hookspec
    def register_tasks(self, register: Callable[[TaskFolder], None]) -> None:
        """Offer folders of lm-eval task YAML. Task names are unique over all plugins."""

    @hookspec
    def register_judges(self, register: Callable[[JudgeSpec], None]) -> None:
        """Offer judges of free answers."""

    @hookspec
    def run_started(self, run: Any) -> None:
        """A run is about to load its model. Raise EditHarnessError to refuse it."""

    @hookspec
    def edits_applied(self, run: Any, step: Step) -> None:
        """A batch of edits was written into one arm."""

    @hookspec
    def run_finished(self, run: Any) -> None:
        """The record is written."""
