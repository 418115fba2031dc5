"""An edited model to look into: a method writes the cases' targets, and each case is asked where its edit stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, cast

from editharness.cache import cache_folder
from editharness.editing import write_arm
from editharness.mechanism.choosing import LeftOut
from editharness.method import Method
from editharness.opening import offline
from editharness.preparing import find_train, prepare
from editharness.seeing import show_arms
from editharness.timeline import Timeline
from editharness.types import Case, CaseSet, Edit, MethodSpec, Schedule

if TYPE_CHECKING:
    from editharness.host import LocalHost
    from editharness.presets import Resolved
    from editharness.registry import Registry

At = Callable[[str], AbstractContextManager[object]]
ARM = "positive"


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
    prepared = prepare(registry.methods[spec.name], _made(registry, spec, resolved), host, train.cases, cache_folder())
    plain = [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]
    shown = show_arms({ARM: plain}, cases, spec.sees, train.cases)[ARM]
    timeline = Timeline(host.loaded.model, host.masters, digest=host.loaded.digest)
    arm = write_arm(
        ARM, spec, _made(registry, spec, resolved), shown, schedule.limited(spec.max_batch), host, timeline,
        state=prepared.state,
    )  # fmt: skip
    failed = {status.edit_id for status in arm.statuses if status.outcome != "done"}

    def at(case: str) -> AbstractContextManager[object]:
        if case in failed:
            raise LeftOut("whose edit was not made")
        return timeline.at(arm.layout.state(case, "final"))

    yield at
    timeline.close()


def _made(registry: Registry, spec: MethodSpec, resolved: Resolved) -> Method[Any]:
    return cast("Method[Any]", registry.resolve(spec.ref)(resolved.options))
