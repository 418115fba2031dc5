"""The journal of all arms, and the model at any place in it.

    timeline.add("positive", patch, kind="carried")
    with timeline.at(("positive", 7, "carried")) as model: ...

A place is (arm, step, kind). Carried: the sum of the arm's steps 1 to `step`; alone: that step's patch and no other;
step 0: the unedited model. Outside `at` the model is unedited. The same place gives the same bits whatever was visited
before, since its weights are always cast(fp32 original + deltas, added in the order of the steps); originals come back
as saved bits. Patches are kept on the CPU, low-rank as they came, and go to a temporary folder when they grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from editharness.errors import MethodError
from editharness.models.load import weights_digest
from editharness.patch.journal import Journal
from editharness.patch.values import ModulePatch, RouterPatch, WeightPatch, full
from editharness.patch.writing import Masters, changed_by_others, fingerprint, put_back, swap

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.patch.values import Patch, RouterRecipe
    from editharness.patch.writing import Fingerprint
    from editharness.types import StateId

Kind = Literal["carried", "alone"]
UNEDITED: StateId = ("", 0, "carried")


class Timeline:
    """Journal of a model's arms; walks the model to any place and back. Make it while the model is unedited.

    `digest` is the whole model's `weights_digest` if known (LoadedModel has it), else taken now; `close` compares.
    `journal_bytes` bounds the memory that changes of weights take; beyond it they lie on disk until `close`.
    """

    def __init__(
        self,
        model: Any,
        masters: Masters | None = None,
        *,
        digest: str | None = None,
        journal_bytes: int = 2**30,
    ) -> None:
        self.model = model
        self.masters = masters or Masters(model)
        self.digest = digest or weights_digest(model)
        self.state: StateId = UNEDITED
        self._journal = Journal(journal_bytes)
        self._written: dict[str, Fingerprint] = {}
        self._swapped: Mapping[str, nn.Module] = {}
        self._running: dict[str, Tensor] = {}
        self._reached: StateId = UNEDITED

    def add(self, arm: str, patch: Patch | None, kind: Kind) -> StateId:
        """Journal the next step of an arm (None: nothing was edited) and return its place. The model stays as it is.

        An arm has one kind. Raises MethodError for a patch that this model cannot take.
        """
        patch = patch or WeightPatch({})
        if isinstance(patch, WeightPatch):
            self.masters.check(patch)
            for name in patch.deltas:
                self._save_original(name)
        return (arm, self._journal.add(arm, patch, kind), kind)

    def steps(self, arm: str) -> int:
        """How many steps an arm has."""
        return self._journal.steps(arm)

    def patch(self, state: StateId) -> Patch | None:
        """The patch that was added at a place; None for step 0."""
        return self._journal.patch(state) if state[1] else None

    @contextmanager
    def at(self, state: StateId) -> Iterator[Any]:
        """The model at a place, as a context; afterwards it is where it was before (outside: unedited)."""
        before = self.state
        self.go(state)
        try:
            yield self.model
        except BaseException:
            self._go(before)
            raise
        self.go(before)

    def go(self, state: StateId) -> None:
        """Bring the model to a place and leave it there; `close` or a later `go` restores it.

        Raises MethodError if somebody changed the edited weights since the last walk.
        """
        self._journal.check(state)
        changed = self._go(state)
        if changed:
            raise changed_by_others(changed)

    def router(self, state: StateId) -> RouterRecipe | None:
        """The router that decides about requests at a place: its latest, if any."""
        found = self._journal.latest(state, RouterPatch)
        return found.router if found is not None else None

    @property
    def replaced(self) -> bool:
        """Whether modules of the model are replaced where it is now."""
        return bool(self._swapped)

    def model_place(self, state: StateId) -> StateId:
        """The place with the same model: the unedited one where a place's patches are routers or nothing."""
        return state if self._journal.changes_model(state) else UNEDITED

    def close(self) -> str:
        """Restore the unedited model, forget the journal and return the whole model's digest.

        Raises MethodError if it is not the digest at the start.
        """
        self.go(UNEDITED)
        self._journal.close()
        self._running.clear()
        self._reached = UNEDITED
        digest = weights_digest(self.model)
        if digest != self.digest:
            raise MethodError(
                "the unedited model is not as it was: a method changed weights in place and did not undo it"
            )
        return digest

    def _save_original(self, name: str) -> None:
        if name in self.masters.touched:
            return
        if self._swapped:
            raise MethodError(f"{name} is first edited while modules are replaced: its original cannot be told")
        self.masters.save(name)

    def _go(self, state: StateId) -> list[str]:
        if state == self.state and not self._modified():
            return []
        changed = self._leave()
        try:
            for name, value in self._weights(state).items():
                self._written[name] = self.masters.write(name, value)
            modules = self._journal.latest(state, ModulePatch)
            if modules is not None:
                self._swapped = swap(self.model, modules.swaps)
        except BaseException:
            # half-way (a recipe that fails, Ctrl-C): no weight may stay edited
            self._restore(self.masters.touched)
            raise
        self.state = state
        return changed

    def _modified(self) -> list[str]:
        if self._swapped:  # names may now lead elsewhere; looked at when the modules are back
            return []
        return [n for n, mark in self._written.items() if fingerprint(self.masters.parameter(n)) != mark]

    def _leave(self) -> list[str]:
        """Restore modules, then weights; names of edited weights that somebody else had changed."""
        put_back(self.model, self._swapped)
        self._swapped = {}
        changed = self._modified()
        self._restore(tuple(self._written))
        return changed

    def _restore(self, names: tuple[str, ...]) -> None:
        for name in names:
            self.masters.restore(name)
        self._written = {}
        self.state = UNEDITED

    def _weights(self, state: StateId) -> Mapping[str, Tensor]:
        """Fp32 values of every weight that differs from the original at a place."""
        arm, step, kind = state
        if kind == "alone" or step == 0:
            values: dict[str, Tensor] = {}
            if step:
                self._advance(values, self._journal.patch(state))
            return values
        if self._reached[0] != arm or self._reached[1] > step:
            # backwards or another arm: start again from the originals, so that the order of additions is the same
            self._running, self._reached = {}, (arm, 0, kind)
        running, start = self._running, self._reached[1]
        self._running, self._reached = {}, UNEDITED  # what an interruption leaves half added is not used again
        for done in range(start + 1, step + 1):
            self._advance(running, self._journal.patch((arm, done, kind)))
        self._running, self._reached = running, state
        return running

    def _advance(self, values: dict[str, Tensor], patch: Patch) -> None:
        if not isinstance(patch, WeightPatch):
            return
        for name, delta in patch.deltas.items():
            value = values.get(name)
            if value is None:
                value = values[name] = self.masters.original(name)
            value.add_(full(delta, value))
