"""Bad edits, bad numbers, bad options: a failed status or one clear line, and the others are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from editharness.errors import EditError, EditHarnessError
from editharness.options import OptionInfo, describe
from editharness.patch import Dense, WeightPatch, apply
from editharness.patch.values import tensors
from editharness.presets import resolve
from editharness.testing.conformance.bench import BenchHost
from editharness.testing.conformance.compare import apart, bitwise
from editharness.testing.conformance.report import Fault
from editharness.testing.conformance.trial import Run, Trial
from editharness.types import Edit

WHY_ONE = "one bad record of a data file would end a run of hours"
MEND_ONE = "leave such edits out with a status 'failed' (locate.batch.encodable), or raise EditError where all fail"
NAMES_LAYERS = re.compile(r"(^|_)layers?$")
TOO_HIGH = 99


def bad_edits(trial: Trial) -> Iterator[Fault]:
    """An edit that cannot be made is failed with a reason; the others of its batch are written as without it."""
    good = trial.first[0]
    beyond = len(good.prompt) + 50
    lost = replace(good, id="lost", subject=(beyond, beyond + 5))
    empty = replace(good, id="empty", target=" ")
    yield from _failed(trial, "whose subject lies outside its prompt", lost, may_be=trial.write([good]))
    yield from _failed(trial, "with an empty target", empty)
    yield from _failed(trial, "whose target cannot be encoded", replace(good, id="half", target="Rome \ud800"))
    yield from _others(trial, empty)
    yield from _twice(trial, good)


def _failed(trial: Trial, what: str, edit: Edit, may_be: Run | None = None) -> Iterator[Fault]:
    """The edit is failed, or made as in `may_be`: a method that never looks at subjects need not mind a wrong one."""
    run, fault = _tried(trial, [edit], f"an edit {what}")
    if fault is not None:
        yield fault
        return
    if may_be is not None and run.patches and not bitwise(may_be.steps[-1].patch, run.steps[-1].patch):
        return
    outcomes = [status.outcome for status in run.statuses]
    if outcomes != ["failed"] or not run.statuses[0].reason:
        yield Fault(f"an edit {what} gets {_told(run)}, not 'failed' with a reason", WHY_ONE, MEND_ONE)
    elif run.patches:
        yield Fault(f"an edit {what} is failed and yet has a patch", "a board would count what was not made", MEND_ONE)


def _others(trial: Trial, bad: Edit) -> Iterator[Fault]:
    """Good edits with a bad one between them."""
    if trial.spec.max_batch == 1:
        return
    asked = [trial.first[0], bad, trial.first[1]]
    host, method, state = trial.host(), trial.method(), trial.prepared()
    host.reseed("facts")
    try:
        step = trial.call(host, "edit() with a bad edit in the batch", lambda: method.edit(host, asked, state))
    except Exception as error:
        yield Fault(f"a batch with a bad edit raises {_line(error)}", WHY_ONE, MEND_ONE)
        return
    outcomes = [status.outcome for status in step.statuses]
    if outcomes != ["done", "failed", "done"]:
        yield Fault(f"a batch of a good, a bad and a good edit gets {outcomes}", WHY_ONE, MEND_ONE)
    elif found := apart(trial, trial.run.steps[-1].patch, step.patch):
        yield Fault(f"good edits are written otherwise with a bad one in their batch: {found}", WHY_ONE, MEND_ONE)


def _twice(trial: Trial, good: Edit) -> Iterator[Fault]:
    """Two edits of one subject: either is made or failed; never a crash, never NaN."""
    run, fault = _tried(trial, [good, replace(good, id="twin", target="Berlin")], "a batch with one subject twice")
    if fault is not None:
        yield fault
    elif any(not bool(t.isfinite().all()) for patch in run.patches for t in tensors(patch) if t.is_floating_point()):
        yield Fault(
            "a batch with one subject twice gives a patch that is not finite",
            "the equal keys make an equality-constrained solve singular",
            "solve with a ridge or a pseudo-inverse, or fail the later edit with the reason",
        )


def bad_numbers(trial: Trial) -> Iterator[Fault]:
    """A model that earlier edits have ruined (NaN), and NaN second moments: failed edits, no crash, no NaN patch."""

    def ruined(host: BenchHost) -> Run:
        name = host.modules.down_weight(0)
        nan = Dense(torch.full_like(host.model.get_parameter(name), torch.nan))
        with apply(host.model, WeightPatch({name: nan}), host.masters):
            return _in_place(trial, host)

    def unmeasured(host: BenchHost) -> Run:
        host.broken = True
        return _in_place(trial, host)

    for what, function in (("weights that are NaN", ruined), ("second moments that are NaN", unmeasured)):
        try:
            run = function(trial.host())
        except EditError:
            continue
        except EditHarnessError as error:
            # with second moments that cannot be used no edit can be made: one line may end the run
            if function is ruined:
                yield Fault(
                    f"on {what} edit() ends the run: {_line(error)}", WHY_ONE, "raise EditError, or return 'failed'"
                )
            continue
        except Exception as error:
            yield Fault(f"on {what} edit() raises {_line(error)}", WHY_ONE, "check isfinite() and raise EditError")
            continue
        done = [status for status in run.statuses if status.outcome == "done"]
        nan = [t for patch in run.patches for t in tensors(patch) if t.is_floating_point() and not t.isfinite().all()]
        if nan or (done and function is ruined):
            seen = "a patch that is not finite" if nan else "the status 'done'"
            yield Fault(
                f"on {what} edit() gives {seen}",
                "a ruined model is counted as edited, and the ruin spreads to what the patch touches",
                "check isfinite() of losses and changes; return 'failed' with the reason, no patch",
            )


def _in_place(trial: Trial, host: BenchHost) -> Run:
    """The first batch on the host's model as it is now."""
    method, state = trial.method(), trial.prepared()
    size = 1 if trial.spec.max_batch == 1 else len(trial.first)
    host.reseed("facts")
    what = "edit() with NaN"
    step = trial.call(host, what, lambda: method.edit(host, trial.first[:size], state))
    return Run((step,), host.rng.get_state(), host.reports)


def bad_layer(trial: Trial) -> Iterator[Fault]:
    """A layer that the model has not: one clear line."""
    for info in describe(trial.spec.options):
        # a plain number under the name "layers" counts them
        if NAMES_LAYERS.search(info.name) and not (info.name.endswith("s") and isinstance(info.default, int)):
            yield from _unreached(trial, info)


def _unreached(trial: Trial, info: OptionInfo) -> Iterator[Fault]:
    typed = f"{info.name}={TOO_HIGH}"
    why, mend = "a mistyped layer would be read as another, or end in a traceback", "name layers through ModuleMap"
    try:
        options = resolve(trial.spec, None, {**trial.settings, info.name: str(TOO_HIGH)}).options
        method, host = trial.method(options=options), trial.host()
        state = trial.train(host, method) if trial.spec.trains else {}
        run = trial.write(trial.first[:1], host=host, method=method, state=state)
    except EditHarnessError as error:
        if "\n" in str(error).strip() or not str(error).strip():
            yield Fault(
                f"--set {typed} gives an error of {len(str(error).splitlines())} lines", why, "say it in one line"
            )
        return
    except Exception as error:
        yield Fault(f"--set {typed} raises {_line(error)}", why, mend)
        return
    if any(status.outcome == "done" for status in run.statuses):
        yield Fault(f"--set {typed} edits a model of {host.modules.layers} layers without a word", why, mend)


def _tried(trial: Trial, asked: Sequence[Edit], what: str) -> tuple[Run, Fault | None]:
    """The run, or a fault for anything raised that would end it."""
    try:
        return trial.write(asked), None
    except Exception as error:
        return Run((), torch.empty(0), 0), Fault(f"{what} raises {_line(error)}", WHY_ONE, MEND_ONE)


def _told(run: Run) -> str:
    return ", ".join(f"{status.outcome!r} ({status.reason or 'no reason'})" for status in run.statuses) or "no status"


def _line(error: Exception) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
