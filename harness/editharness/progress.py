"""How far a run is, live: in a terminal, and in a notebook that has ipywidgets. Nothing is shown anywhere else."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal

Loudness = Literal["quiet", "usual", "verbose"]
LOUDNESS: ContextVar[Loudness] = ContextVar("editharness_loudness", default="usual")
"""What the command line wants to be told: nothing, a bar where somebody looks on, or every stage as a line."""

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class Silent:
    """A reporter that says nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """The run enters a stage."""

    def advance(self, done: int = 1) -> None:
        """`done` more of the stage's total."""


class Lines:
    """A line per stage, with the seconds since the start: for a log."""

    def __init__(self, console: Console) -> None:
        self.console, self.start = console, time.perf_counter()

    def stage(self, name: str, total: int | None = None) -> None:
        """The run enters a stage."""
        of = f" ({total})" if total is not None else ""
        self.console.print(f"{time.perf_counter() - self.start:8.1f} s  {name}{of}", markup=False, highlight=False)

    def advance(self, done: int = 1) -> None:
        """`done` more of the stage's total."""


class Live:
    """One line of Rich progress per stage: how much of it, time so far, time that remains."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.task = progress, progress.add_task("starting", total=None)

    def stage(self, name: str, total: int | None = None) -> None:
        """The run enters a stage; `total` is None where its length is not known."""
        # a task of its own, so that the remaining time is told from this stage's pace alone
        self.progress.remove_task(self.task)
        self.task = self.progress.add_task(name, total=total)

    def advance(self, done: int = 1) -> None:
        """`done` more of the stage's total."""
        self.progress.advance(self.task, done)


@contextmanager
def live(*, shown: bool = True, console: Console | None = None) -> Iterator[Live | Lines | Silent]:
    """A progress bar that goes away when the run is over; silent where nobody looks on. `console`: else stderr."""
    from rich.console import Console

    console = console or Console(stderr=True)
    if LOUDNESS.get() == "verbose":
        yield Lines(console)
        return
    if not shown or LOUDNESS.get() == "quiet" or not _watched(console):
        yield Silent()
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Live(progress)


def _watched(console: Console) -> bool:
    # in a notebook Rich draws with ipywidgets, and without them warns on every call
    return importlib.util.find_spec("ipywidgets") is not None if console.is_jupyter else console.is_terminal
