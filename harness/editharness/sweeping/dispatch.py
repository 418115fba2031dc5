"""Which worker gets which cell. A cell whose worker died is given to another, and goes on from what was kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from editharness.lending import model_key
from editharness.sweeping.worker import Failed, Made, Reply, Task

if TYPE_CHECKING:
    from editharness.lending import ModelKey
    from editharness.sweeping.grid import SweepCell

W = TypeVar("W")


@dataclass(frozen=True)
class Died:
    """A worker went down with its cell: killed, out of memory, its node lost."""

    reason: str


class Engine(Protocol[W]):
    """Where workers live. `wait` blocks until at least one of them has replied or died."""

    def start(self) -> W:
        """A new worker."""

    def give(self, worker: W, task: Task) -> None:
        """Hand a cell to a worker that has none."""

    def wait(self, busy: Sequence[W]) -> list[tuple[W, Reply | Died]]:
        """What has come of those that have one."""

    def stop(self) -> None:
        """End every worker; what they have made is kept."""


Tell = Callable[["SweepCell", Reply | Died, bool], None]
"""Hears of every reply; the truth value: whether the cell will be tried again."""


def dispatch(
    cells: Sequence[SweepCell], engine: Engine[W], workers: int, retries: int, tell: Tell, *, fresh: bool = False
) -> dict[str, Reply]:
    """Make all cells; cell id -> what came of it. The engine is stopped however this ends."""
    waiting, done, deaths = list(cells), dict[str, Reply](), Counter[str]()
    idle: dict[W, ModelKey | None] = {}
    busy: dict[W, SweepCell] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker, cell = _next(idle, waiting, busy.values(), engine)
                waiting.remove(cell)
                busy[worker] = cell
                # what a dead worker has kept is this sweep's own
                engine.give(worker, Task(cell.config, fresh and not deaths[cell.id]))
            for worker, reply in engine.wait(list(busy)):
                cell = busy.pop(worker)
                if isinstance(reply, Died):
                    deaths[cell.id] += 1
                    again = deaths[cell.id] <= retries
                    tell(cell, reply, again)
                    if again:
                        waiting.insert(0, cell)
                    else:
                        done[cell.id] = Failed(f"its worker died {deaths[cell.id]} times: {reply.reason}")
                    continue
                idle[worker] = model_key(cell.config) if isinstance(reply, Made) else None
                done[cell.id] = reply
                tell(cell, reply, False)
    finally:
        engine.stop()
    return done


def _next(
    idle: dict[W, ModelKey | None], waiting: Sequence[SweepCell], busy: Iterable[SweepCell], engine: Engine[W]
) -> tuple[W, SweepCell]:
    """A worker and a cell, of the model that it holds if there is one; else of a model that nobody works on."""
    for worker, held in idle.items():
        mine = next((cell for cell in waiting if model_key(cell.config) == held), None)
        if mine is not None:
            del idle[worker]
            return worker, mine
    taken = {model_key(cell.config) for cell in busy}
    cell = next((cell for cell in waiting if model_key(cell.config) not in taken), waiting[0])
    return (idle.popitem()[0] if idle else engine.start()), cell
