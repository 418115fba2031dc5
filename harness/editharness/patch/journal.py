"""What every arm's steps were: patches on the CPU, weight changes in a temporary folder once they exceed a budget."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from editharness.patch.files import load, save
from editharness.patch.values import Dense, LowRank, ModulePatch, Patch, RouterPatch, WeightPatch, nbytes

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.types import StateId

P = TypeVar("P", ModulePatch, RouterPatch)


@dataclass(frozen=True)
class Spilled:
    """A patch that lies on disk."""

    folder: Path


class Journal:
    """Steps per arm, counted from 1. `budget` is the bytes that changes of weights may take in memory."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0
        self._arms: dict[str, list[Patch | Spilled]] = {}
        self._kinds: dict[str, str] = {}
        self._disk: tempfile.TemporaryDirectory[str] | None = None

    def add(self, arm: str, patch: Patch, kind: str) -> int:
        """Append a step and return its number. Weight patches are copied, so later writes do not reach them."""
        if self._kinds.setdefault(arm, kind) != kind:
            raise ValueError(f"arm {arm!r} is {self._kinds[arm]}: it cannot take a step of kind {kind!r}")
        steps = self._arms.setdefault(arm, [])
        steps.append(self._kept(on_cpu(patch)))
        return len(steps)

    def steps(self, arm: str) -> int:
        """How many steps an arm has."""
        return len(self._arms.get(arm, ()))

    def check(self, state: StateId) -> None:
        """Raise ValueError for a place that the journal does not have; step 0 is everywhere."""
        arm, step, kind = state
        if kind not in ("carried", "alone") or not 0 <= step <= (self.steps(arm) if step else 0):
            raise ValueError(f"no place {state!r}: arm {arm!r} has {self.steps(arm)} steps")
        if step and self._kinds[arm] != kind:
            raise ValueError(f"no place {state!r}: arm {arm!r} is {self._kinds[arm]}")

    def patch(self, state: StateId) -> Patch:
        """The patch of one step."""
        kept = self._arms[state[0]][state[1] - 1]
        return load(kept.folder) if isinstance(kept, Spilled) else kept

    def latest(self, state: StateId, kind: type[P]) -> P | None:
        """The patch of this type that is in force at a place: the last one (carried) or that very step's (alone)."""
        self.check(state)
        arm, step, how = state
        reached = self._arms.get(arm, [])[step - 1 if how == "alone" and step else 0 : step]
        return next((patch for patch in reversed(reached) if isinstance(patch, kind)), None)

    def changes_model(self, state: StateId) -> bool:
        """Whether any patch in force at a place changes weights or modules."""
        self.check(state)
        arm, step, how = state
        reached = self._arms.get(arm, [])[step - 1 if how == "alone" and step else 0 : step]
        return any(_changes_model(patch) for patch in reached)

    def close(self) -> None:
        """Forget everything, on disk too."""
        self._arms, self._kinds, self._used = {}, {}, 0
        if self._disk is not None:
            self._disk.cleanup()
            self._disk = None

    def _kept(self, patch: Patch) -> Patch | Spilled:
        if not isinstance(patch, WeightPatch):
            return patch
        if self._used + nbytes(patch) <= self._budget:
            self._used += nbytes(patch)
            return patch
        if self._disk is None:
            self._disk = tempfile.TemporaryDirectory(prefix="editharness-")
        folder = Path(self._disk.name) / str(sum(map(len, self._arms.values())))
        save(patch, folder)
        return Spilled(folder)


def _changes_model(patch: Patch | Spilled) -> bool:
    return bool(patch.deltas) if isinstance(patch, WeightPatch) else not isinstance(patch, RouterPatch)


def on_cpu(patch: Patch) -> Patch:
    """A weight patch copied to the CPU in fp32 (fp64 stays fp64), rows contiguous; other patches as they are."""
    if not isinstance(patch, WeightPatch):
        return patch
    return WeightPatch({name: _moved(delta) for name, delta in patch.deltas.items()})


def _moved(delta: LowRank | Dense) -> LowRank | Dense:
    if isinstance(delta, Dense):
        return Dense(_copy(delta.delta))
    return LowRank(_copy(delta.a), _copy(delta.b))


def _copy(tensor: Tensor) -> Tensor:
    wide = torch.promote_types(tensor.dtype, torch.float32)
    return tensor.detach().cpu().to(wide).clone(memory_format=torch.contiguous_format)
