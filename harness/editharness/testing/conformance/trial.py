"""One method on one tiny model: everything that the checks look at, done once."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from editharness.asking import quiet
from editharness.errors import EditError
from editharness.lm import EditedLM
from editharness.method import Method
from editharness.patch import join
from editharness.presets import resolve
from editharness.testing.conformance.bench import Bench, BenchHost
from editharness.testing.conformance.facts import TRAIN, edits
from editharness.testing.conformance.surroundings import Surroundings
from editharness.timeline import Timeline
from editharness.types import Edit, MethodSpec, State, Status, Step

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.patch import Patch
    from editharness.registry import Registry

T = TypeVar("T")
BATCH = 2
PLACE = ("asked", 1, "alone")


@dataclass(frozen=True)
class Run:
    """Some edits as a method wrote them: a step per batch, how often it reported progress, the generator afterwards."""

    steps: tuple[Step, ...]
    rng: Tensor
    reports: int

    @property
    def patches(self) -> tuple[Patch, ...]:
        """The patches of the steps that have one."""
        return tuple(step.patch for step in self.steps if step.patch is not None)

    @property
    def statuses(self) -> tuple[Status, ...]:
        """What became of every edit, in order."""
        return tuple(status for step in self.steps for status in step.statuses)

    @property
    def state(self) -> State:
        """What the method carries on."""
        return self.steps[-1].state


@dataclass(frozen=True)
class Request:
    """A question to EditedLM, with the fields of lm-eval's own requests."""

    request_type: str
    args: tuple[Any, ...]
    doc: Mapping[str, Any] = field(default_factory=dict)
    idx: int = 0
    metadata: tuple[None, None, None] = (None, None, None)


class Trial:
    """A method with its options on one family's models. What is costly is done at first use and kept.

    `traces` gathers (what was called, what it left behind); the model is mended each time, so that one fault does not
    show up in every later check.
    """

    def __init__(
        self, spec: MethodSpec, registry: Registry, family: str, options: Mapping[str, Any], bench: Bench
    ) -> None:
        self.spec, self.registry, self.family, self.bench = spec, registry, family, bench
        self.settings = options
        self.options = resolve(spec, None, options).options
        self.edits = edits(spec)
        self.traces: list[tuple[str, list[tuple[str, str]]]] = []
        self._prepared: dict[str, State] = {}

    @property
    def first(self) -> list[Edit]:
        """The first batch."""
        return self.edits[:BATCH]

    @property
    def second(self) -> list[Edit]:
        """The second batch."""
        return self.edits[BATCH : 2 * BATCH]

    @cached_property
    def _writer(self) -> Method[Any]:
        """The object that writes both batches, as a run's arm has one."""
        return self.method()

    @cached_property
    def run(self) -> Run:
        """The first batch on the fp32 model."""
        return self.write(self.first, method=self._writer)

    @cached_property
    def next_run(self) -> Run:
        """The second batch by the same method object, on the model that the first one left and with its state."""
        return self.write(self.second, after=self.run, method=self._writer)

    @cached_property
    def half_run(self) -> Run:
        """The first batch on the bf16 model."""
        return self.write(self.first, dtype="bfloat16")

    @cached_property
    def patch(self) -> Patch | None:
        """What the first batch is evaluated as."""
        return self.total(self.run)

    def method(self, made: type[Method[Any]] | None = None, options: Any = None) -> Method[Any]:
        """A new object of the method's class."""
        kind = made or self.registry.resolve(self.spec.ref)
        return cast("Method[Any]", kind(self.options if options is None else options))

    def prepared(self, dtype: str = "float32") -> State:
        """The state before the first batch; trained once per dtype."""
        if dtype not in self._prepared:
            self._prepared[dtype] = self.train(self.host(dtype)) if self.spec.trains else {}
        return self._prepared[dtype]

    def train(self, host: BenchHost, method: Method[Any] | None = None) -> State:
        """`prepare` on the train cases."""
        host.reseed("prepare")
        chosen = method or self.method()
        return self.call(host, "prepare()", lambda: chosen.prepare(host, TRAIN))

    def host(self, dtype: str = "float32", seed: int = 0) -> BenchHost:
        """A new host of this family."""
        return self.bench.host(self.family, dtype, seed)

    def write(
        self, asked: Sequence[Edit], *, dtype: str = "float32", seed: int = 0, after: Run | None = None,
        state: State | None = None, host: BenchHost | None = None, method: Method[Any] | None = None,
        what: str = "edit()",
    ) -> Run:  # fmt: skip
        """Write `asked` in batches of two (or the method's own limit), each on the model that the last one left.

        `after` is a run to go on from; `state` stands in for what it or `prepare` gave.
        """
        host, method = host or self.host(dtype, seed), method or self.method()
        timeline = Timeline(host.model, host.masters, digest=host.loaded.digest)
        for step in after.steps if after else ():
            timeline.add("facts", step.patch, kind="carried")
        host.reseed("facts")
        if after is not None:
            host.rng.set_state(after.rng)
        now = state if state is not None else (after.state if after else self.prepared(dtype))
        size = min(BATCH, self.spec.max_batch or BATCH)
        steps: list[Step] = []
        for batch in (asked[i : i + size] for i in range(0, len(asked), size)):
            with timeline.at(("facts", timeline.steps("facts"), "carried")):
                steps.append(self._step(host, method, batch, now, what))
            timeline.add("facts", steps[-1].patch, kind="carried")
            now = steps[-1].state
        return Run(tuple(steps), host.rng.get_state(), host.reports)

    def _step(self, host: BenchHost, method: Method[Any], batch: Sequence[Edit], state: State, what: str) -> Step:
        try:
            return self.call(host, what, lambda: method.edit(host, batch, state))
        except EditError as error:
            return Step(None, state, tuple(Status(edit.id, "failed", str(error)) for edit in batch))

    def call(self, host: BenchHost, what: str, function: Callable[[], T]) -> T:
        """Run a method's code; what it leaves behind is noted and mended."""
        before = Surroundings.take(host.model, host.tokenizer)
        try:
            return function()
        finally:
            found = before.differences()
            if found:
                before.put_back()
                self.traces.append((what, found))
                if before.differences():
                    self.bench.drop(self.family)

    def total(self, run: Run, dtype: str = "float32") -> Patch | None:
        """What is evaluated after a run: the method's view of all its patches together."""
        if not run.patches:
            return None
        whole = run.patches[0]
        for patch in run.patches[1:]:
            whole = join(whole, patch)
        host, method = self.host(dtype), self.method()
        return self.call(host, "view()", lambda: method.view(host, whole))

    @contextmanager
    def asked(self, patch: Patch | None, *, dtype: str = "float32", batch_size: int = 32) -> Iterator[EditedLM]:
        """EditedLM whose every answer is that of the model with `patch`; the model is checked afterwards."""
        loaded = self.bench.loaded(self.family, dtype)
        timeline = Timeline(loaded.model, digest=loaded.digest)
        place = timeline.add("asked", patch, kind="alone")
        try:
            with quiet():
                yield EditedLM(timeline, loaded.tokenizer, batch_size=batch_size, default=place)
            timeline.close()
        except BaseException:
            # a module that wrote into what it replaced: this model is not to be used again
            self.bench.drop(self.family)
            raise

    def logprobs(
        self, patch: Patch | None, questions: Sequence[tuple[str, str]], *, dtype: str = "float32", batch_size: int = 32
    ) -> list[float]:
        """Log-probability of each answer after its prompt, teacher-forced through EditedLM."""
        requests: Any = [Request("loglikelihood", (prompt, f" {answer}")) for prompt, answer in questions]
        with self.asked(patch, dtype=dtype, batch_size=batch_size) as lm:
            return [score for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]

    def texts(self, patch: Patch | None, prompts: Sequence[str], *, tokens: int = 6, batch_size: int = 32) -> list[str]:
        """Greedy continuations through EditedLM."""
        how = {"until": [], "max_gen_toks": tokens}
        requests: Any = [Request("generate_until", (prompt, dict(how))) for prompt in prompts]
        with self.asked(patch, batch_size=batch_size) as lm:
            return lm.generate_until(requests, disable_tqdm=True)


def fresh_class(ref: str) -> type[Method[Any]]:
    """The class of a reference, imported anew with all modules of its package, so that it has no memory of the process.

    The modules that were imported before are put back; the new class lives on its own copies.
    """
    module, _, name = ref.partition(":")
    package = module.partition(".")[0]
    ours = {key: value for key, value in sys.modules.items() if key == package or key.startswith(f"{package}.")}
    for key in ours:
        del sys.modules[key]
    try:
        found: Any = _imported(module, ours.get(module))
        for part in name.split("."):
            found = getattr(found, part)
    finally:
        for key in [key for key in sys.modules if key == package or key.startswith(f"{package}.")]:
            del sys.modules[key]
        sys.modules.update(ours)
    return cast("type[Method[Any]]", found)


def _imported(name: str, before: ModuleType | None) -> ModuleType:
    """A module imported anew; one that is a file outside the import path (--plugin) from that file."""
    if before is None or before.__file__ is None or importlib.util.find_spec(name) is not None:
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, before.__file__)
    assert spec is not None
    assert spec.loader is not None  # it was imported from there before
    sys.modules[name] = made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def state_bytes(state: State) -> dict[str, Tensor]:
    """A copy of a state, to see whether somebody writes into it."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def same_tensors(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str:
    """ "" where two mappings hold the same bits, else the first difference."""
    for name in sorted(set(one) | set(other)):
        if name not in one or name not in other:
            return f"{name} is only in one of the two"
        a, b = one[name].detach().cpu(), other[name].detach().cpu()
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name} is {tuple(a.shape)} {a.dtype} in one and {tuple(b.shape)} {b.dtype} in the other"
        if not torch.equal(a.contiguous().view(-1).view(torch.uint8), b.contiguous().view(-1).view(torch.uint8)):
            return f"{name} differs by up to {float((a.double() - b.double()).abs().max()):.3g}"
    return ""
