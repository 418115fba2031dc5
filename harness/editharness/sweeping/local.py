"""Workers as processes of this machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import IO

from editharness.sweeping.dispatch import Died
from editharness.sweeping.worker import Reply, Setup, Task

PATIENCE = 60.0
"""Seconds in which a worker that is told to stop writes down what it has made."""


@dataclass(eq=False)
class LocalWorker:
    """A process, the socket to it, and what it writes to stderr."""

    process: subprocess.Popen[bytes]
    connection: Connection
    log: IO[bytes]


class LocalEngine:
    """Starts `python -m editharness.sweeping.serve`, each in a session of its own."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._workers: list[LocalWorker] = []

    def start(self) -> LocalWorker:
        """A new process, which is told its setup; it imports torch while the first cell waits."""
        ours, theirs = Pipe()
        log = tempfile.TemporaryFile()  # noqa: SIM115  closed with the worker
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "editharness.sweeping.serve", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        worker = LocalWorker(process, ours, log)
        self._workers.append(worker)
        with suppress(OSError):  # `wait` will find it dead
            ours.send(self.setup)
        return worker

    def give(self, worker: LocalWorker, task: Task) -> None:
        """Hand over a cell."""
        with suppress(OSError):
            worker.connection.send(task)

    def wait(self, busy: Sequence[LocalWorker]) -> list[tuple[LocalWorker, Reply | Died]]:
        """The replies that have come, at least one; `Died` for a process that is gone."""
        by_connection = {worker.connection: worker for worker in busy}
        return [(by_connection[ready], self._reply(by_connection[ready])) for ready in wait(list(by_connection))]  # type: ignore[index]

    def stop(self) -> None:
        """End every process, after it has written down what it has made."""
        for worker in self._workers:
            worker.connection.close()
            worker.process.send_signal(signal.SIGTERM)
        for worker in list(self._workers):
            try:
                with suppress(subprocess.TimeoutExpired):
                    worker.process.wait(PATIENCE)
            finally:
                self._forget(worker)

    def _reply(self, worker: LocalWorker) -> Reply | Died:
        try:
            reply: Reply = worker.connection.recv()
        except (EOFError, OSError):
            code = worker.process.wait()
            end = f"killed by signal {-code}" if code < 0 else f"ended with status {code}"
            died = Died(end + _last_line(worker.log))
            self._forget(worker)
            return died
        return reply

    def _forget(self, worker: LocalWorker) -> None:
        worker.process.kill()
        worker.process.wait()
        worker.connection.close()
        worker.log.close()
        self._workers.remove(worker)


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read()[-4000:].decode("utf-8", "replace").strip().splitlines()
    return f" ({lines[-1].strip()})" if lines else ""
