"""All checks in order, and one function that runs them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editharness.errors import EditHarnessError, UnknownNameError
from editharness.registry import Registry
from editharness.testing.conformance import batches, effects, mishaps, repeats, source, traces
from editharness.testing.conformance.bench import Bench
from editharness.testing.conformance.report import Fault, Finding, Report
from editharness.testing.conformance.trial import Trial
from editharness.types import MethodSpec


@dataclass(frozen=True)
class Check:
    """One check. `skipped` says why it does not apply to a method, "" where it does."""

    name: str
    look: Callable[[Trial], Iterable[Fault]]
    skipped: Callable[[MethodSpec], str] = lambda spec: ""


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


CHECKS = (
    Check("spec", source.spec),
    Check("source", source.source),
    Check("moves the fact", effects.moves, _no_effect),
    Check("moves the fact in bf16", effects.half, _no_effect),
    Check("declared weights only", effects.declared, _no_effect),
    Check("finite", effects.finite),
    Check("undo", effects.undo, _no_effect),
    Check("export", effects.export, _no_effect),
    Check("training", repeats.training, _untrained),
    Check("same seed", repeats.same_seed),
    Check("sessions", repeats.sessions),
    Check("state", repeats.state),
    Check("single", batches.single),
    Check("padding", batches.padding),
    Check("batch order", batches.order, _one_by_one),
    Check("evaluation", batches.evaluation, _row_by_row),
    Check("generation", batches.generation, _row_by_row),
    Check("bad edits", mishaps.bad_edits, _no_effect),
    Check("bad numbers", mishaps.bad_numbers, _text_only),
    Check("bad layer", mishaps.bad_layer),
    Check("interrupted", traces.interrupted),
    Check("as found", traces.as_found),
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
    skip = skip or {}
    for name in (*only, *skip):
        if name not in {check.name for check in CHECKS}:
            raise UnknownNameError("check", name, {check.name for check in CHECKS})
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(spec, registry, family, options or {}, bench or Bench(Path(folder)))
        findings, passed, skipped = _looked(trial, [check for check in CHECKS if not only or check.name in only], skip)
    return Report(spec.name, family, findings, passed, skipped, time.perf_counter() - start)


def _looked(
    trial: Trial, checks: Iterable[Check], skip: Mapping[str, str]
) -> tuple[tuple[Finding, ...], tuple[str, ...], dict[str, str]]:
    findings: list[Finding] = []
    passed: list[str] = []
    skipped: dict[str, str] = {}
    known: set[str] = set()
    unusable = _unusable(trial)
    for check in checks:
        reason = skip.get(check.name) or check.skipped(trial.spec) or ("" if check.look is source.spec else unusable)
        if reason:
            skipped[check.name] = reason
            continue
        faults = _faults(check, trial)
        if not faults:
            passed.append(check.name)
        # what one check has told is not told again by the next
        findings += [Finding(check.name, trial.spec.name, trial.family, f) for f in faults if f.seen not in known]
        known.update(fault.seen for fault in faults)
    return tuple(findings), tuple(passed), skipped


def _unusable(trial: Trial) -> str:
    """Why no check but the spec's can be made, "" where the method's class can be imported."""
    try:
        trial.registry.resolve(trial.spec.ref)
    except EditHarnessError:
        return "the method cannot be imported"
    return ""


def _faults(check: Check, trial: Trial) -> list[Fault]:
    found: list[Fault] = []
    try:
        # one by one: what was found before the method raised is kept
        found.extend(check.look(trial))
    except Exception as error:
        said = " ".join(str(error).split())
        found.append(
            Fault(
                f"raised {type(error).__name__}: {said}" if said else f"raised {type(error).__name__}",
                "this check could not be made, and a run would end here",
                "run the method on this tiny model (editharness.testing.tiny) and follow the traceback",
            )
        )
    return found
