"""The model `editharness` of lm-eval's own command: it loads a model, writes facts, and answers any task as edited.

    editharness lm-eval run --model editharness --model_args pretrained=gpt2,method=memit,data=mcf --tasks piqa

lm-eval hands every model argument to the tasks as well, so that ours ask about the facts that were written.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch

from editharness import __version__
from editharness.asking import quiet
from editharness.data.load import editable_cases, load_cases
from editharness.errors import UnknownNameError, UsageError
from editharness.facts import Writing, resolve_method, write
from editharness.lm import EditedLM
from editharness.opening import offline, open_model
from editharness.options import describe, show
from editharness.preparing import find_train
from editharness.registry import Registry, load_plugins
from editharness.types import CaseSet, MethodSpec, Schedule, StateId

NAME = "editharness"
ROWS = 64
"""Rows asked at once where lm-eval is told "auto"."""
_FLAGS = ("pretrained", "method", "data", "edits", "schedule", "preset", "seed", "revision", "dtype", "device",
          "batch_size", "corpus", "train", "max_length", "trust_remote_code")  # fmt: skip


class EditHarnessLM(EditedLM):
    """`edits` facts of data set `data`, written with `method` into `pretrained`; every request is asked at the end.

    Further arguments are options of the method (`steps=5`), or the file of a data set (`mcf=counterfact.json`). Every
    fact must have been written into one model: schedules are all, batch:K and sequential.
    """

    def __init__(
        self, pretrained: str = "pocket", method: str = "none", data: str = "pocket", edits: int = 100,
        schedule: str = "all", preset: str | None = None, seed: int = 0, revision: str | None = None,
        dtype: str = "float32", device: str | None = None, batch_size: int | str = ROWS,
        max_batch_size: int | None = None, corpus: str | None = None, train: str | None = None,
        max_length: int | None = None, trust_remote_code: bool = False, **others: Any,
    ) -> None:  # fmt: skip
        registry = load_plugins()
        spec, plan = registry.method(method), Schedule.parse(schedule)
        registry.dataset(data)
        settings = {name: value for name, value in others.items() if name not in registry.datasets}
        _check(spec, plan, settings, registry)
        cases = load_cases(registry, data, _file(others.get(data)), offline=offline())
        facts = editable_cases(cases, seed)[: _number(edits, cases)]
        writing = Writing(
            method, pretrained, revision, preset, {name: _text(value) for name, value in settings.items()}, plan, seed,
            str(dtype), _device(device), _file(corpus), trust_remote_code,
        )  # fmt: skip
        with quiet():
            loaded = open_model(writing, registry)
            training = find_train(spec, _file(train), registry, cases, facts, offline=offline())
            written = write(writing, registry, loaded, facts, training.cases)
        rows = ROWS if str(batch_size).startswith("auto") else int(batch_size)
        super().__init__(
            written.timeline, loaded.tokenizer, batch_size=rows, max_length=max_length, default=written.end
        )
        self.written = written
        resolved = resolve_method(spec, preset, writing.settings, loaded)
        self.editing = {
            "method": method,
            "preset": resolved.preset_name,
            "options": {name: show(value) for name, value in resolved.values.items()},
            "data": data,
            "data_sha256": cases.sha256,
            "edits": len(facts),
            "statuses": dict(Counter(status.outcome for status in written.arm.statuses)),
            "schedule": str(plan.limited(spec.max_batch)),
            "seed": seed,
            "model_digest": loaded.digest,
            "editharness": __version__,
        }
        self._info = {
            "model_num_parameters": loaded.parameters,
            "model_dtype": dtype,
            "model_revision": loaded.revision or "",
            "model_sha": loaded.revision or "",
        }

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval writes beside its own configuration: the model's facts, and under "editing" what was done."""
        return {**self._info, "editing": self.editing}

    def _state(self, request: Any) -> StateId:
        # tasks of ours name the unedited model where no plan of a run says otherwise
        return self.default


def register() -> None:
    """Make the name known to this process's lm-eval, as its entry point does from the release after 0.4.13 on."""
    from lm_eval.api.registry import model_registry

    if NAME not in model_registry:
        model_registry.register(NAME, target=f"{__name__}:{EditHarnessLM.__name__}")


def _check(spec: MethodSpec, plan: Schedule, settings: dict[str, Any], registry: Registry) -> None:
    options = [option.name for option in describe(spec.options)]
    for name in settings:
        if name not in options:
            raise UnknownNameError("model argument", name, [*_FLAGS, *options, *registry.datasets])
    if not plan.carry:
        raise UsageError(f"schedule={plan} makes a model per fact, and a task is asked of one: use all or batch:K")


def _number(edits: Any, cases: CaseSet) -> int:
    there = len(editable_cases(cases, 0))
    if not isinstance(edits, int) or not 1 <= edits <= there:
        raise UsageError(f"edits={edits}: data set {cases.name!r} has {there} facts to write; from 1 to {there}")
    return edits


def _device(name: str | None) -> str:
    """lm-eval asks for cuda:0 unless told otherwise, and falls back, as its own models do."""
    usual = name is None or str(name).startswith("cuda")
    return "cpu" if usual and not torch.cuda.is_available() else str(name or "cuda")


def _file(given: Any) -> Path | None:
    return None if given is None else Path(str(given))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else show(value)
