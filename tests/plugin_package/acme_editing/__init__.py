"""A plugin of editharness: what it offers. The code is imported when it is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acme_editing.options import TuneOptions
from editharness import hookimpl
from editharness.types import DatasetSpec, MethodSpec, ProtocolSpec, Source, TaskFolder


@hookimpl
def register_methods(register: Callable[[MethodSpec], None]) -> None:
    """Offer the method."""
    register(
        MethodSpec(
            name="acme-ft",
            title="Acme fine-tuning",
            paper="https://example.org/acme",
            ref="acme_editing.method:TuneLastLayer",
            options=TuneOptions,
            note="a few gradient steps on the last layer's down projection",
        )
    )


@hookimpl
def register_protocols(register: Callable[[ProtocolSpec], None]) -> None:
    """Offer the protocol."""
    register(ProtocolSpec("recall", "Recall", "https://example.org/recall", "acme_editing.protocol:Recall"))


@hookimpl
def register_datasets(register: Callable[[DatasetSpec], None]) -> None:
    """Offer the data set; it lies inside the package."""
    register(
        DatasetSpec(
            name="capitals",
            title="Capitals moved",
            paper="",
            ref="acme_editing.data:load",
            licence="CC0-1.0",
            sources=(Source("package", "acme_editing", file="capitals.tsv"),),
        )
    )


@hookimpl
def register_tasks(register: Callable[[TaskFolder], None]) -> None:
    """Offer the folder of task YAML."""
    register(TaskFolder(Path(__file__).parent / "tasks"))
