"""The same again: same seed, another session, a state that was saved and loaded, a training that was interrupted."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from editharness.errors import EditHarnessError
from editharness.states import load_state, save_state
from editharness.testing.conformance.bench import Interrupted
from editharness.testing.conformance.compare import bitwise, parts
from editharness.testing.conformance.report import Fault
from editharness.testing.conformance.surroundings import faults
from editharness.testing.conformance.trial import Run, Trial, fresh_class, same_tensors, state_bytes
from editharness.types import State

WHY_STATE = "a run that is killed and resumed would give other numbers"
MEND_STATE = "carry everything in State as named, contiguous tensors, nothing on the method's object"


def same_seed(trial: Trial) -> Iterator[Fault]:
    """Run again with the same seed and other global random states: the same to the bit."""
    first = trial.run
    with _other_global_seeds():
        state = trial.train(trial.host()) if trial.spec.trains else None
        again = trial.write(trial.first, state=state)
    why = "nobody could get a row of a board a second time"
    mend = "draw with host.rng, never with a global generator; go through sets and dictionaries in a fixed order"
    if state is not None and (found := same_tensors(trial.prepared(), state)):
        yield Fault(f"prepare() twice with one seed gives two states: {found}", why, mend)
    elif found := differ(first, again):
        yield Fault(f"edit() twice with one seed gives two results: {found}", why, mend)


def sessions(trial: Trial) -> Iterator[Fault]:
    """What a run gives does not depend on the runs that this process made before."""
    first = trial.run
    other = trial.write(trial.second, seed=1, state=trial.prepared())
    fresh = trial.method(fresh_class(trial.spec.ref))
    alone = trial.write(trial.second, seed=1, state=trial.prepared(), method=fresh)
    why = "results would depend on what else was run in this process, and a resumed run would differ"
    mend = "keep nothing in modules, classes or caches of functions: what is carried goes into the returned state"
    if found := differ(other, alone):
        yield Fault(f"after another session a run differs from the same run in a fresh one: {found}", why, mend)
    elif found := differ(first, trial.write(trial.first)):
        yield Fault(f"the first run, repeated after another session, differs: {found}", why, mend)


def state(trial: Trial) -> Iterator[Fault]:
    """Saved after a batch and loaded, a run goes on exactly; nothing that was given or returned is written to."""
    given = state_bytes(trial.prepared())
    method = trial.method()
    first = trial.write(trial.first, method=method)
    strange = [
        f"{name} is a {type(held).__name__}" for name, held in first.state.items() if not hasattr(held, "detach")
    ]
    if strange:
        yield Fault(f"the state cannot be saved: {strange[0]}", WHY_STATE, MEND_STATE)
        return
    carried, patches = state_bytes(first.state), [state_bytes(parts(patch)[0]) for patch in first.patches]
    trial.write(trial.second, after=first, method=method)
    if found := same_tensors(given, trial.prepared()) or same_tensors(carried, first.state):
        yield Fault(
            f"edit() writes into the state it is given: {found}",
            "another arm begins with the same state and would see this arm's edits",
            "make a new mapping with new tensors and return it",
        )
    changed = [same_tensors(old, parts(patch)[0]) for old, patch in zip(patches, first.patches, strict=True)]
    if any(changed):
        yield Fault(
            f"the first batch's patch changed while the second was written: {next(filter(None, changed))}",
            "whoever kept it would replay another edit than was made",
            "return copies, not tensors that you go on writing into",
        )
    try:
        loaded = _through_a_file(trial.run.state)
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        yield Fault(f"the state cannot be saved: {type(error).__name__}: {error}", WHY_STATE, MEND_STATE)
        return
    if found := differ(trial.next_run, trial.write(trial.second, after=trial.run, state=loaded)):
        yield Fault(f"the second batch after saving and loading the state differs: {found}", WHY_STATE, MEND_STATE)


def _through_a_file(state: State) -> State:
    """A state as it comes back from disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.safetensors"
        save_state(state, path)
        loaded = load_state(path)
    if loaded is None:
        raise ValueError("the file cannot be read back")
    return loaded[0]


def training(trial: Trial) -> Iterator[Fault]:
    """A training says what it needs, and one that is interrupted goes on to the same state."""
    try:
        trial.call(trial.host(), "prepare()", lambda: trial.method().prepare(trial.host(), ()))
        yield Fault(
            "prepare() without a single train case says nothing",
            "the user would read a board of an untrained method",
            "raise MethodError that says how many cases are needed",
        )
    except EditHarnessError:
        pass
    counted = trial.host()
    whole = trial.train(counted)
    if counted.reports:
        # a training too short to report has nothing to interrupt
        yield from _resumed(trial, whole, math.ceil(3 * counted.reports / 4))


def _resumed(trial: Trial, whole: State, stop_at: int) -> Iterator[Fault]:
    known = len(trial.traces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training.part"
        broken = trial.host()
        broken.stop_at = stop_at
        with suppress(Interrupted), broken.keeping(path):
            trial.train(broken)
        for what, left in trial.traces[known:]:
            yield from faults(left, f"{what}, interrupted")
        del trial.traces[known:]
        later = trial.host()
        with later.keeping(path):
            resumed = trial.train(later)
    if found := same_tensors(whole, resumed):
        yield Fault(
            f"a training that was interrupted and taken up again ends elsewhere: {found}",
            "a resumed run would give other numbers",
            "give host.keep everything: weights, optimiser, step, host.rng.get_state(); begin with host.resume(); hold "
            "contiguous tensors, since a file keeps no strides",
        )


def differ(one: Run, other: Run) -> str:
    """ "" where two runs gave the same patches, states and outcomes to the bit, else the first difference."""
    for a, b in zip(one.steps, other.steps, strict=True):
        found = bitwise(a.patch, b.patch) or same_tensors(a.state, b.state)
        if found:
            return found
    outcomes = [[status.outcome for status in run.statuses] for run in (one, other)]
    return "" if outcomes[0] == outcomes[1] else f"outcomes {outcomes[0]} and {outcomes[1]}"


class _other_global_seeds:
    """The global generators in another state for a while."""

    def __enter__(self) -> None:
        self.kept = torch.random.get_rng_state(), random.getstate(), np.random.get_state()
        torch.manual_seed(12345)
        random.seed(12345)
        np.random.seed(12345)

    def __exit__(self, *error: object) -> None:
        torch.random.set_rng_state(self.kept[0])
        random.setstate(self.kept[1])
        np.random.set_state(self.kept[2])
