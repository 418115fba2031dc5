"""One cell after another in one process. The model stays loaded from cell to cell, and so do its unedited answers.

What is shared changes no bit of a record: the model is as it was loaded (its digest is compared after every run), and
an answer is used again only for the same batch of token ids, in the same process.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from editharness.config import RunConfig
    from editharness.registry import Registry
    from editharness.resume.keeper import Entry

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
ModelKey = tuple[Any, ...]


def model_key(config: RunConfig) -> ModelKey:
    """Cells with the same key can share a loaded model."""
    return (config.model, config.revision, config.dtype, config.device, config.trust_remote_code)


class Cells:
    """Makes cells in this process; one model is held at a time."""

    def __init__(self, setup: Setup) -> None:
        os.environ.update(dict.fromkeys(THREADS, str(setup.threads)), TQDM_DISABLE="1")
        import torch

        from editharness.registry import load_plugins

        torch.set_num_threads(setup.threads)
        self.registry: Registry = load_plugins(files=setup.plugins)
        self._key: ModelKey | None = None
        self._loaded: Any = None
        self._answers: dict[str, Entry] = {}

    def make(self, task: Task) -> Reply:
        """The cell's record, or why there is none; whatever goes wrong, the next cell gets an untouched model."""
        from editharness.errors import EditHarnessError

        said: list[str] = []
        start = time.perf_counter()
        try:
            return Made(self._make(task, said), time.perf_counter() - start, tuple(said))
        except EditHarnessError as error:
            self._drop()
            return Failed(str(error))
        except Exception as error:
            self._drop()
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
                registry = self._with_model(config)
                part.shared = self._answers
                path = write_run(run(config, registry, Silent(), part), registry, part)
            self.registry.run_finished(path)
            return path

    def _with_model(self, config: RunConfig) -> Registry:
        """The registry with the cell's model, loaded unless the last cell had it too."""
        from editharness.opening import open_model

        if self._key != model_key(config):
            self._drop()
            self._loaded = open_model(config, self.registry)
            self._key = model_key(config)
        return self.registry.with_model(config.model, self._loaded)

    def _drop(self) -> None:
        self._key, self._loaded, self._answers = None, None, {}
