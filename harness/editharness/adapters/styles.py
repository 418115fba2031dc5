"""From a function and its hyperparameters to a Method class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from editharness.adapters.calling import Function, call, check_shape, name_of
from editharness.adapters.hparams import read_hparams, written_parameters
from editharness.adapters.requests import Request, easyedit_request, memit_request
from editharness.errors import EditError, MethodError
from editharness.method import Host, Method
from editharness.types import Edit, State, Status, Step


@dataclass(frozen=True)
class Adapted:
    """A foreign function with all that is needed to call it. `together`: a whole batch at once, else edit by edit."""

    function: Function
    hparams: Any
    hparams_class: type[Any] | None
    writes: tuple[str, ...] | None
    request: Callable[[Edit], Request]
    together: bool


class FunctionMethod(Method[None]):
    """Runs a foreign function and reads off what it did to the weights."""

    adapted: ClassVar[Adapted]

    def __init__(self, options: None = None) -> None:
        super().__init__(options)
        self._writes = self.adapted.writes or written_parameters(self._read())

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """The change as full deltas of every weight that differs; refused edits (ValueError, assert) are failed."""
        from editharness.locate.batch import encodable  # imports torch

        hparams = self._read()  # anew: functions keep state on it, which must not reach the next batch
        if host.device.type == "cuda" and hasattr(hparams, "device"):
            hparams.device = host.device.index or 0  # EasyEdit's files name a GPU of their author's machine
        usable, failed = encodable(host, [edit for edit in edits if edit.subject_text])
        failed |= {edit.id: _lost(edit) for edit in edits if not edit.subject_text}
        batches = [usable] if self.adapted.together else [[edit] for edit in usable]
        with host.recording(*self._writes) as record:
            statuses = [status for batch in batches if batch for status in self._written(host, batch, hparams)]
        patch = record.patch if record.patch is not None and record.patch.deltas else None
        if patch is None:
            statuses = [status if status.outcome == "failed" else self._nothing(status) for status in statuses]
        found = failed | {status.edit_id: status for status in statuses}
        return Step(patch, state, tuple(found[edit.id] for edit in edits))

    def _read(self) -> Any:
        return read_hparams(self.adapted.hparams, self.adapted.hparams_class)

    def _written(self, host: Host, batch: Sequence[Edit], hparams: Any) -> list[Status]:
        try:
            requests = [self.adapted.request(edit) for edit in batch]
            call(self.adapted.function, host, requests, hparams, self._writes)
        except (AssertionError, ValueError, EditError) as error:  # their way to refuse a request
            said = f"{name_of(self.adapted.function)}: {' '.join(str(error).split()) or type(error).__name__}"
            return [Status(edit.id, "failed", said) for edit in batch]
        return [Status(edit.id, "done") for edit in batch]

    def _nothing(self, status: Status) -> Status:
        name, watched = name_of(self.adapted.function), ", ".join(self._writes)
        return Status(status.edit_id, "failed", f"{name} changed none of {watched}: name what it edits with writes=")


def memit_style(
    function: Function, hparams: Any, *, hparams_class: type[Any] | None = None, writes: Sequence[str] | None = None
) -> type[FunctionMethod]:
    """A method from an `apply_x_to_model(model, tok, requests, hparams, ...)` of the ROME and MEMIT lineage.

    `hparams`: a JSON or YAML file, a mapping, or an object; `hparams_class` reads the file where given. `writes`:
    patterns of the parameters that it edits (default: what `rewrite_module_tmp` and `layers` say, else all, which costs
    a copy of the model). It gets the whole batch at once. Raises MethodError for a function of another shape.
    """
    return _method(Adapted(function, hparams, hparams_class, _patterns(writes), memit_request, together=True))


def easyedit_style(
    function: Function, hparams: Any, *, hparams_class: type[Any] | None = None, writes: Sequence[str] | None = None,
    together: bool = False,
) -> type[FunctionMethod]:  # fmt: skip
    """The same for EasyEdit's functions and YAML files, with requests as its editor prepares them.

    It gets one request at a time, as `BaseEditor.edit` does (most read `requests[0]` alone); `together`: all of a
    batch, as `batch_edit`.
    """
    return _method(Adapted(function, hparams, hparams_class, _patterns(writes), easyedit_request, together))


def _lost(edit: Edit) -> Status:
    """Its request would be one about nothing, which no function minds."""
    return Status(edit.id, "failed", "its subject is not in its prompt")


def _method(adapted: Adapted) -> type[FunctionMethod]:
    check_shape(adapted.function)
    name = name_of(adapted.function).rpartition(".")[2]
    text = f"{name}, run unchanged."
    return type(name, (FunctionMethod,), {"adapted": adapted, "__doc__": text, "__module__": __name__})


def _patterns(writes: Sequence[str] | None) -> tuple[str, ...] | None:
    if writes is None:
        return None
    if isinstance(writes, str) or not writes:
        raise MethodError(f"writes={writes!r}: give a list of patterns of parameter names")
    return tuple(writes)
