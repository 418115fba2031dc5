"""An edited model to look into: a method writes the cases' targets, and each case is asked where its edit stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from editharness.facts import write_facts
from editharness.mechanism.choosing import LeftOut
from editharness.opening import offline
from editharness.preparing import find_train
from editharness.types import Case, CaseSet, MethodSpec, Schedule

if TYPE_CHECKING:
    from editharness.host import LocalHost
    from editharness.presets import Resolved
    from editharness.registry import Registry

At = Callable[[str], AbstractContextManager[object]]


@contextmanager
def editing(
    host: LocalHost, registry: Registry, spec: MethodSpec, resolved: Resolved, data: CaseSet, cases: Sequence[Case],
    schedule: Schedule,
) -> Iterator[At]:  # fmt: skip
    """Write the targets of `cases`; gives a function from a case to the model as it is at the end for that case.

    Under schedules that do not carry, that is the model with this case's own step; a case whose edit was not made
    raises LeftOut when it is asked. The model is unedited outside these contexts, and its weights are checked at the
    end.
    """
    train = find_train(spec, None, registry, data, cases, offline=offline())
    written = write_facts(host, registry, spec, resolved, cases, schedule, train.cases)
    failed = {status.edit_id for status in written.failed}

    def at(case: str) -> AbstractContextManager[object]:
        if case in failed:
            raise LeftOut("whose edit was not made")
        return written.timeline.at(written.arm.layout.state(case, "final"))

    yield at
    written.timeline.close()
