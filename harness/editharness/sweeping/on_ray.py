"""Workers as Ray actors: on this machine, or on the cluster at an address."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editharness.errors import UsageError
from editharness.sweeping.dispatch import Died
from editharness.sweeping.worker import Cells, Failed, Reply, Setup, Task

HEADS = ("EDITHARNESS_", "HF_", "TOKENIZERS_")
"""Environment variables that workers take over from the sweep begin so."""
TO_CONNECT, TO_JOIN = 5.0, 25.0
_JOIN = "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR', log_to_driver=False)"
_STORE = 100 * 2**20
"""Bytes of Ray's object store where we start it: nothing large passes through it."""


@dataclass(frozen=True)
class Place:
    """Where the sweep was typed, for workers elsewhere: folder, environment, and a file that they must see."""

    folder: Path
    environment: Mapping[str, str]
    token: Path


class RayCells:
    """The actor: `Cells` in the sweep's folder, where the node has it."""

    def __init__(self, setup: Setup, place: Place) -> None:
        self.setup, self.place = setup, place
        self._cells: Cells | None = None

    def make(self, task: Task) -> Reply:
        """As `Cells.make`; a node that does not see the output folder says so."""
        with suppress(OSError):
            os.chdir(self.place.folder)
        if not self.place.token.is_file():
            where = self.place.token.parent
            return Failed(f"node {socket.gethostname()} does not see {where}: give --output on a folder of all nodes")
        if self._cells is None:
            os.environ.update(self.place.environment)
            self._cells = Cells(self.setup)
        return self._cells.make(task)


@dataclass(eq=False)
class RayWorker:
    """An actor and, while it works, what it will reply."""

    actor: Any
    future: Any = None


class RayEngine:
    """Actors with the resources of a cell each. Nothing is started by Ray again: `dispatch` counts the deaths."""

    def __init__(self, setup: Setup, ray: Any, output: Path, needs: Mapping[str, float]) -> None:
        self.setup, self.ray = setup, ray
        output.mkdir(parents=True, exist_ok=True)
        token = output.absolute() / f".{uuid.uuid4().hex[:10]}.seen"
        token.touch()
        kept = {name: value for name, value in os.environ.items() if name.startswith(HEADS)}
        self.place = Place(Path.cwd(), kept, token)
        self._actor = ray.remote(num_cpus=needs["cpus"], num_gpus=needs["gpus"], max_restarts=0)(RayCells)

    def start(self) -> RayWorker:
        """A new actor; Ray finds it a node."""
        return RayWorker(self._actor.remote(self.setup, self.place))

    def give(self, worker: RayWorker, task: Task) -> None:
        """Hand over a cell."""
        worker.future = worker.actor.make.remote(task)

    def wait(self, busy: Sequence[RayWorker]) -> list[tuple[RayWorker, Reply | Died]]:
        """The replies that have come, at least one; `Died` for an actor that is gone."""
        by_future = {worker.future: worker for worker in busy}
        ready, _ = self.ray.wait(list(by_future), num_returns=1)
        return [(by_future[one], self._reply(one)) for one in ready]

    def stop(self) -> None:
        """End all actors with this process's part of the cluster; a cell loses at most a batch."""
        self.place.token.unlink(missing_ok=True)
        self.ray.shutdown()

    def _reply(self, future: Any) -> Reply | Died:
        try:
            reply: Reply = self.ray.get(future)
        except self.ray.exceptions.RayActorError as error:
            return Died(_line(error))
        except self.ray.exceptions.RayError as error:
            return Failed(_line(error))
        return reply


def connect(address: str | None, workers: int | None, needs: Mapping[str, float]) -> tuple[Any, int]:
    """Ray, joined or started, and how many cells it can make at once; raises UsageError within half a minute."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--engine ray: Ray is not installed; pip install 'editharness[ray]'")
    if address is not None:
        _answers(address)
    import ray

    os.environ.setdefault(
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"
    )  # a cell without GPUs of its own keeps what it sees
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    if address is not None:
        ray.init(address=address, **quiet)
    else:
        cpus = max(os.cpu_count() or 1, int((workers or 1) * needs["cpus"] + 0.999))
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, object_store_memory=_STORE, **quiet)
    room = sum(_fitting(node["Resources"], needs) for node in ray.nodes() if node["Alive"])
    if not room:
        asked = ", ".join(f"{value:g} {name}" for name, value in needs.items())
        ray.shutdown()
        raise UsageError(f"--engine ray: no node has what a cell needs ({asked}); give other --cpus and --gpus")
    return ray, min(workers or room, room)


def _fitting(there: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """How many cells a node has room for."""
    shares = [there.get(key, 0.0) / needs[name] for name, key in (("cpus", "CPU"), ("gpus", "GPU")) if needs[name]]
    return int(min(shares, default=there.get("CPU", 0.0)))


def _answers(address: str) -> None:
    """Raise UsageError unless a Ray cluster answers; a probe of its own, as Ray would try for over a minute."""
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdecimal() and "/" not in host):
        raise UsageError(f"--address {address}: write HOST:PORT of the cluster's head, or auto")
    nobody = f"--address {address}: no Ray cluster answers"
    try:
        if address != "auto":
            socket.create_connection((host, int(port)), TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{nobody} ({reason}); start one: ray start --head") from None
    said = _join(address)
    if said is not None and "Unauthenticated" in said:
        raise UsageError(
            f"--address {address}: the cluster wants its token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        )
    if said is not None:
        raise UsageError(f"{nobody} ({said.splitlines()[-1]})")


def _join(address: str) -> str | None:
    """What a process says that cannot join the cluster, or not in time; None where it can."""
    words = [sys.executable, "-c", _JOIN, address]
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=TO_JOIN, check=False)
    except subprocess.TimeoutExpired as late:
        said = late.stderr.decode("utf-8", "replace") if isinstance(late.stderr, bytes) else late.stderr or ""
        return f"{said}\nnot within {TO_JOIN:.0f} s; is it the port of `ray start --head`?"
    return None if done.returncode == 0 else done.stderr.strip() or "no reason given"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
