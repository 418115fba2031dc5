"""All checks in order, and one function that runs them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from editharness.errors import EditHarnessError
from editharness.registry import Registry
from editharness.testing.conformance import batches, effects, mishaps, repeats, source, traces
from editharness.testing.conformance.bench import Bench
from editharness.testing.conformance.checks import Check, run_checks
from editharness.testing.conformance.report import Fault, Report
from editharness.testing.conformance.trial import Trial
from editharness.types import MethodSpec

Look = Callable[[Trial], Iterable[Fault]]
DEBUG = "run the method on this tiny model (editharness.testing.tiny) and follow the traceback"


def _no_effect(spec: MethodSpec) -> str:
    return "the method has no effect" if spec.effect == "none" else ""


def _one_by_one(spec: MethodSpec) -> str:
    return "a batch is one edit" if spec.max_batch == 1 else ""


def _untrained(spec: MethodSpec) -> str:
    return "" if spec.trains else "the method does not train"


def _text_only(spec: MethodSpec) -> str:
    return _no_effect(spec) or ("the method only rewrites requests" if spec.effect == "router" else "")


def _row_by_row(spec: MethodSpec) -> str:
    return "" if spec.exact_batching else "the spec says exact_batching=False: rows are scored one at a time"


def _made(name: str, look: Look, skipped: Callable[[MethodSpec], str] = lambda spec: "") -> Check[Trial]:
    """A check of a method that can be imported; `skipped` sees its spec."""
    return Check(name, look, lambda trial: skipped(trial.spec) or _unusable(trial))


CHECKS: tuple[Check[Trial], ...] = (
    Check("spec", source.spec),
    _made("source", source.source),
    _made("moves the fact", effects.moves, _no_effect),
    _made("moves the fact in bf16", effects.half, _no_effect),
    _made("declared weights only", effects.declared, _no_effect),
    _made("finite", effects.finite),
    _made("undo", effects.undo, _no_effect),
    _made("export", effects.export, _no_effect),
    _made("training", repeats.training, _untrained),
    _made("same seed", repeats.same_seed),
    _made("sessions", repeats.sessions),
    _made("state", repeats.state),
    _made("single", batches.single),
    _made("padding", batches.padding),
    _made("batch order", batches.order, _one_by_one),
    _made("evaluation", batches.evaluation, _row_by_row),
    _made("generation", batches.generation, _row_by_row),
    _made("bad edits", mishaps.bad_edits, _no_effect),
    _made("bad numbers", mishaps.bad_numbers, _text_only),
    _made("bad layer", mishaps.bad_layer),
    _made("interrupted", traces.interrupted),
    _made("as found", traces.as_found),
)
"""In the order in which an author wants to hear of faults; the last looks at what all others called."""


def check_method(
    spec: MethodSpec, registry: Registry, family: str = "llama", *,
    options: Mapping[str, Any] | None = None, bench: Bench | None = None, only: Collection[str] = (),
    skip: Mapping[str, str] | None = None,
) -> Report:  # fmt: skip
    """Run every check (or `only` some, by name) of one method on one tiny model family, on the CPU.

    `options` are --set values that suit a random model of three layers. A `bench` keeps models from call to call.
    `skip` maps checks that cannot apply to the reason. Raises UnknownNameError for a name that is no check, OptionError
    for `options` that the method does not take; whatever the method itself raises is a finding.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(spec, registry, family, options or {}, bench or Bench(Path(folder)))
        return run_checks(spec.name, family, trial, CHECKS, only=only, skip=skip, debug=DEBUG)


def _unusable(trial: Trial) -> str:
    """Why no check but the spec's can be made, "" where the method's class can be imported."""
    try:
        trial.registry.resolve(trial.spec.ref)
    except EditHarnessError:
        return "the method cannot be imported"
    return ""
