"""What a method must leave alone, also when it is stopped half-way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

from editharness.testing.conformance.bench import Interrupted
from editharness.testing.conformance.report import Fault
from editharness.testing.conformance.surroundings import faults
from editharness.testing.conformance.trial import Trial


def as_found(trial: Trial) -> Iterator[Fault]:
    """Weights, module tree, hooks, flags, configuration, tokenizer, settings and random states after every call."""
    trial.run, trial.next_run, trial.half_run, trial.patch  # noqa: B018  # each is looked at while it runs
    told: set[str] = set()
    for what, found in trial.traces:
        yield from faults([(aspect, text) for aspect, text in found if aspect not in told], what)
        told.update(aspect for aspect, _ in found)


def interrupted(trial: Trial) -> Iterator[Fault]:
    """Stopped in the middle, at a call of `progress`, the model is as it was."""
    reports = trial.run.reports
    if not reports:
        return
    host = trial.host()
    host.stop_at = math.ceil(reports / 2)
    known = len(trial.traces)
    with suppress(Interrupted):
        trial.write(trial.first, host=host, what="edit(), interrupted")
    for what, found in trial.traces[known:]:
        yield from faults(found, what)
    del trial.traces[known:]
