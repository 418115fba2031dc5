"""Facts written into a model outside a run: one line of edits, and the model at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from editharness.cache import cache_folder
from editharness.editing import Arm, write_arm
from editharness.method import Method
from editharness.opening import open_host
from editharness.patch import Patch, WeightPatch, join
from editharness.preparing import prepare
from editharness.presets import Resolved, choose, load_presets, model_facts, resolve
from editharness.seeing import show_arms
from editharness.timeline import Timeline
from editharness.types import Case, Edit, MethodSpec, Schedule, StateId, Status

if TYPE_CHECKING:
    from editharness.host import LocalHost
    from editharness.models.load import LoadedModel
    from editharness.registry import Registry

ARM = "positive"
"""A run's arm of the same name draws the same random numbers, and so makes the same model."""


@dataclass(frozen=True)
class Writing:
    """What writes facts into which model, and how: the fields of a run that concern neither questions nor records."""

    method: str
    model: str = "pocket"
    revision: str | None = None
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = Schedule(size=None, carry=True)  # noqa: RUF009  frozen
    seed: int = 0
    dtype: str = "float32"
    device: str = "cpu"
    corpus: Path | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True)
class Written:
    """Facts as a method wrote them. The model itself is unedited; `timeline` brings it to a place and back."""

    timeline: Timeline
    arm: Arm

    @property
    def failed(self) -> list[Status]:
        """The edits that were not made, with the reason."""
        return [status for status in self.arm.statuses if status.outcome != "done"]

    @property
    def end(self) -> StateId:
        """The place where every fact is written, as the method wants it evaluated."""
        return self.arm.layout.place(max(self.arm.layout.written), "final")

    @cached_property
    def patch(self) -> Patch:
        """Everything that was written, as one patch; empty where nothing could be."""
        arm, last, kind = self.end
        places = [(arm, step, kind) for step in range(1 if kind == "carried" else last, last + 1)]
        patches = [patch for place in places if (patch := self.timeline.patch(place)) is not None]
        # a step that wrote nothing is journalled as no weights, whatever the other steps are
        made = [patch for patch in patches if not isinstance(patch, WeightPatch) or patch.deltas]
        return reduce(join, made) if made else WeightPatch({})


def write(
    writing: Writing, registry: Registry, loaded: LoadedModel, cases: Sequence[Case], train: Sequence[Case] = (),
    advance: Callable[[int], None] = lambda done: None,
) -> Written:  # fmt: skip
    """Write the targets of `cases` into a loaded model; raises EditHarnessError where the method cannot run here."""
    spec = registry.method(writing.method)
    resolved = resolve_method(spec, writing.preset, writing.settings, loaded)
    host = open_host(writing, registry, loaded, advance)
    return write_facts(host, registry, spec, resolved, cases, writing.schedule, train)


def write_facts(
    host: LocalHost, registry: Registry, spec: MethodSpec, resolved: Resolved, cases: Sequence[Case],
    schedule: Schedule, train: Sequence[Case] = (),
) -> Written:  # fmt: skip
    """The same with a host that is there and options that are resolved."""
    prepared = prepare(registry.methods[spec.name], _made(registry, spec, resolved), host, train, cache_folder())
    plain = [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]
    shown = show_arms({ARM: plain}, cases, spec.sees, train)[ARM]
    timeline = Timeline(host.loaded.model, host.masters, digest=host.loaded.digest)
    arm = write_arm(
        f"{spec.name}/{ARM}", spec, _made(registry, spec, resolved), shown, schedule.limited(spec.max_batch), host,
        timeline, state=prepared.state,
    )  # fmt: skip
    return Written(timeline, arm)


def resolve_method(spec: MethodSpec, preset: str | None, settings: Mapping[str, Any], loaded: LoadedModel) -> Resolved:
    """The options of a method for a loaded model: the preset that was named or that fits, then `settings`."""
    presets = load_presets(spec.presets) if spec.presets else []
    return resolve(spec, choose(presets, preset, model_facts(loaded.model.config)), settings)


def _made(registry: Registry, spec: MethodSpec, resolved: Resolved) -> Method[Any]:
    return cast("Method[Any]", registry.resolve(spec.ref)(resolved.options))
