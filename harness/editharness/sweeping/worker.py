"""One cell after another in one process. The model stays loaded from cell to cell, and so do its unedited answers."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from editharness.lending import Lent

if TYPE_CHECKING:
    from editharness.config import RunConfig
    from editharness.registry import Registry

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Setup:
    """What a worker is told once: plugin files, and how many threads it computes with."""

    plugins: tuple[Path, ...] = ()
    threads: int = 1


@dataclass(frozen=True)
class Task:
    """A cell to make; `fresh` forgets what an interrupted run has kept."""

    config: RunConfig
    fresh: bool = False


@dataclass(frozen=True)
class Made:
    """The record of a cell, the seconds that it took, and what was said on the way."""

    record: Path
    seconds: float
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """Why a cell has no record; it would fail again."""

    reason: str


Reply = Made | Failed


class Cells:
    """Makes cells in this process; one model is held at a time."""

    def __init__(self, setup: Setup) -> None:
        os.environ.update(dict.fromkeys(THREADS, str(setup.threads)), TQDM_DISABLE="1")
        import torch

        from editharness.registry import load_plugins

        torch.set_num_threads(setup.threads)
        self.registry: Registry = load_plugins(files=setup.plugins)
        self.lent = Lent()

    def make(self, task: Task) -> Reply:
        """The cell's record, or why there is none; whatever goes wrong, the next cell gets an untouched model."""
        from editharness.errors import EditHarnessError

        said: list[str] = []
        start = time.perf_counter()
        try:
            return Made(self._make(task, said), time.perf_counter() - start, tuple(said))
        except EditHarnessError as error:
            self.lent.drop()
            return Failed(str(error))
        except Exception as error:
            self.lent.drop()
            return Failed(f"{type(error).__name__}: {error}")

    def _make(self, task: Task, said: list[str]) -> Path:
        from editharness.progress import Silent
        from editharness.recording import write_run
        from editharness.resume.folder import unfinished
        from editharness.runner import run
        from editharness.store import run_id

        config = task.config
        with unfinished(config.output, run_id(config.method, config.resolved()), said.append, fresh=task.fresh) as part:
            path = part.finished()
            if path is None:
                outcome = run(config, self.lent.to(config, self.registry, part), Silent(), part)
                self.lent.back(config, outcome.model)
                path = write_run(outcome, self.registry, part)
            self.registry.run_finished(path)
            return path
