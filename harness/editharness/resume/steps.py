"""An arm's steps as entries: each with its patch, its statuses and the generator after it; the state of the last only.

Where steps build on each other an arm goes on from its last kept state, so the steps up to there must be kept as well.
Every step, kept or not, is first brought into the form that a file would give it back in (`settled`), so that a run
that was killed and one that was not compute with the same bits in the same places.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from editharness.errors import UnknownNameError
from editharness.patch.files import pack, unpack
from editharness.patch.values import Dense, LowRank, ModulePatch, Patch, RouterPatch, WeightPatch
from editharness.resume.keeper import NOTHING, Entry, Keeper
from editharness.resume.tensors import plain
from editharness.types import State, Status, Step

if TYPE_CHECKING:
    from torch import Generator

    from editharness.patch.files import RecipeKinds

_STATE = "state"


@dataclass(frozen=True)
class Made:
    """A step, the seconds that it took when it was made, and, for one that was kept, the generator after it."""

    step: Step
    seconds: float
    rng: Tensor | None = None


class ArmSteps:
    """The kept steps of one arm. `kinds` rebuild modules and routers; a patch of another kind cannot be kept."""

    def __init__(self, arm: str, keeper: Keeper = NOTHING, kinds: RecipeKinds | None = None) -> None:
        self.arm, self.keeper, self.kinds = arm, keeper, kinds or {}
        self._able = True

    def done(self, batches: Sequence[Sequence[str]], *, carry: bool, together: int = 1) -> int:
        """How many of the steps that write these edits need not be made again.

        `together`: so many steps are made in one go, and only whole goes count.
        """
        kept = 0
        while kept < len(batches) and self._edits(kept + 1) == [*batches[kept]]:
            kept += 1
        if kept == len(batches):
            return kept
        if not carry:
            return kept - kept % together
        reached = self._reached()
        return reached if reached <= kept and self.keeper.get(_STATE) is not None else 0

    def step(self, number: int) -> Made:
        """A step that `done` has counted; its state is that of the last one, and nothing for those before."""
        entry = self.keeper.get(self._name(number))
        assert entry is not None
        patch = None
        if entry.facts["patch"] is not None:
            tensors = {key.removeprefix("patch/"): t for key, t in entry.tensors.items() if key.startswith("patch/")}
            patch = unpack(entry.facts["patch"], tensors, self.kinds)
        statuses = tuple(Status(*one) for one in entry.facts["statuses"])
        return Made(Step(patch, self._state(number), statuses), entry.facts["seconds"], entry.tensors["rng"])

    def add(self, number: int, made: Made, rng: Generator, *, carry: bool) -> None:
        """Keep a step that was just made. One that no file can hold ends the keeping: it is made again."""
        self._able = self._able and self._keepable(made.step)
        if not self._able:
            return
        described, tensors = pack(made.step.patch) if made.step.patch is not None else (None, {})
        statuses = [[s.edit_id, s.outcome, s.reason, _numbers(s.facts)] for s in made.step.statuses]
        facts = {"statuses": statuses, "patch": described, "seconds": made.seconds}
        named = {f"patch/{key}": tensor for key, tensor in tensors.items()}
        self.keeper.put(self._name(number), Entry(facts, {**named, "rng": rng.get_state()}))
        if carry:
            self.keeper.put(_STATE, Entry({"arm": self.arm, "step": number}, made.step.state), latest=True)

    def settled(self, step: Step) -> Step:
        """The step with every tensor as a file would give it back, and recipes rebuilt where that changes something."""
        state = {name: plain(t) if isinstance(t, Tensor) else t for name, t in step.state.items()}
        return replace(step, patch=step.patch and self._settled(step.patch), state=state)

    def _settled(self, patch: Patch) -> Patch:
        if isinstance(patch, WeightPatch):
            return WeightPatch({name: _plain(delta) for name, delta in patch.deltas.items()})
        if isinstance(patch, ModulePatch):
            return ModulePatch({name: self._rebuilt(recipe) for name, recipe in patch.swaps.items()})
        return RouterPatch(self._rebuilt(patch.router))

    def _rebuilt(self, recipe: Any) -> Any:
        tensors = {name: plain(tensor) for name, tensor in recipe.tensors.items()}
        moved = any(tensors[name] is not tensor for name, tensor in recipe.tensors.items())
        return self.kinds[recipe.kind](tensors, recipe.config) if moved and recipe.kind in self.kinds else recipe

    def _keepable(self, step: Step) -> bool:
        """Whether the step comes back from JSON and tensors as it is."""
        if not all(isinstance(tensor, Tensor) for tensor in step.state.values()):
            return False
        if step.patch is None or isinstance(step.patch, WeightPatch):
            return True
        try:
            described, tensors = pack(step.patch)
            unpack(json.loads(json.dumps(described, allow_nan=False)), tensors, self.kinds)
        except (UnknownNameError, TypeError, ValueError):
            return False
        return True

    def _edits(self, number: int) -> list[str] | None:
        name = self._name(number)
        entry = self.keeper.get(name)
        return [one[0] for one in entry.facts["statuses"]] if entry is not None else None

    def _reached(self) -> int:
        """The step whose state is kept; 0: none of this arm's."""
        facts = self.keeper.facts(_STATE)
        return int(facts["step"]) if facts is not None and facts["arm"] == self.arm else 0

    def _state(self, number: int) -> State:
        entry = self.keeper.get(_STATE) if number == self._reached() else None
        return entry.tensors if entry is not None else {}

    def _name(self, number: int) -> str:
        return f"step {self.arm} {number}"


def _plain(delta: LowRank | Dense) -> LowRank | Dense:
    return Dense(plain(delta.delta)) if isinstance(delta, Dense) else LowRank(plain(delta.a), plain(delta.b))


def _numbers(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A method's measurements as JSON has them; numpy's and torch's numbers are their values."""
    return {k: v if isinstance(v, int | float) else float(cast("Real", v)) for k, v in facts.items()}
