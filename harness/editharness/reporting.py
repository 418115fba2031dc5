"""What a run tells about itself while it works: stages, how far it is, seconds by phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Reporter(Protocol):
    """Hears how far a run is."""

    def stage(self, name: str, total: int | None = None) -> None:
        """The run enters a stage; `total` None: its length is not known."""

    def advance(self, done: int = 1) -> None:
        """`done` more of the current stage."""


@dataclass
class Clock:
    """Seconds by phase."""

    seconds: dict[str, float] = field(default_factory=dict)
    _open: tuple[str, float] | None = field(default=None, repr=False)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time what runs inside, under `name`."""
        self._open = (name, time.perf_counter())
        try:
            yield
        finally:
            self.seconds, self._open = self.so_far(), None

    def so_far(self) -> dict[str, float]:
        """Seconds by phase, with what the present phase has taken."""
        found = dict(self.seconds)
        if self._open is not None:
            name, start = self._open
            found[name] = found.get(name, 0.0) + time.perf_counter() - start
        return found

    def add(self, earlier: Mapping[str, float]) -> None:
        """Count the seconds of an earlier sitting too."""
        for name, seconds in earlier.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds


def downloading(report: Reporter) -> Callable[[int, int | None], None]:
    """Bytes so far and in all, as a data file comes in, on the run's progress bar."""
    seen = 0

    def progress(done: int, total: int | None) -> None:
        nonlocal seen
        if seen == 0:
            report.stage("downloading data (bytes)", total)
        report.advance(done - seen)
        seen = done

    return progress
