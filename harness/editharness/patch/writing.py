"""Write a patch into a model and take it back, bit for bit.

Undo copies saved bits back; it never subtracts, which is not exact in bf16. Deltas are added to fp32 masters and cast
to the model's dtype once, so that many small edits of a bf16 model are not lost to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from editharness.errors import MethodError
from editharness.models.capture import submodule
from editharness.models.modules import tied_parameters
from editharness.patch.values import ModulePatch, Patch, RouterPatch, WeightPatch, full, shape

if TYPE_CHECKING:
    from types import TracebackType

    from editharness.patch.values import ModuleRecipe

Fingerprint = tuple[int, int]


class Undo:
    """Takes a patch back: call `undo()` or leave the context. A second call does nothing.

    Everything is restored first; then MethodError is raised if something else had changed what the patch wrote, so that
    no change goes unseen.
    """

    def __init__(self, restore: Callable[[], Iterable[str]]) -> None:
        self._restore: Callable[[], Iterable[str]] | None = restore

    def undo(self) -> None:
        """Copy the saved bits and modules back."""
        changed = self._once()
        if changed:
            raise changed_by_others(changed)

    def _once(self) -> list[str]:
        restore, self._restore = self._restore, None
        return list(restore()) if restore is not None else []

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        # an error on its way out says more than what it left behind
        changed = self._once()
        if changed and kind is None:
            raise changed_by_others(changed)


def changed_by_others(names: Iterable[str]) -> MethodError:
    """The error for weights that were written by something else while a patch was applied."""
    return MethodError(
        f"{', '.join(sorted(names))} changed while a patch was applied: undo patches in reverse order, "
        "and record in-place edits with host.recording"
    )


def apply(model: nn.Module, patch: Patch, masters: Masters | None = None) -> Undo:
    """Write `patch` into `model` and return what takes it back; use it as a context. Routers change no weights.

    With `masters` the deltas are added to its running fp32 values. Raises MethodError, the model untouched, for a
    parameter or module that the model has not, another shape, or a weight tied to a second name.
    """
    if isinstance(patch, WeightPatch):
        return (masters or Masters(model)).add(patch)
    if isinstance(patch, ModulePatch):
        originals = swap(model, patch.swaps)
        return Undo(lambda: put_back(model, originals))
    assert isinstance(patch, RouterPatch)
    return Undo(lambda: ())


class Masters:
    """Fp32 copies of the weights that were touched, and their original bits.

    A weight's first use saves it as it then is, so make the masters while the model is unedited.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._tied = tied_parameters(model)
        self._saved: dict[str, Tensor] = {}
        self._marks: dict[str, Fingerprint] = {}
        self._running: dict[str, Tensor] = {}

    @property
    def touched(self) -> tuple[str, ...]:
        """Names of the parameters that were saved."""
        return tuple(self._saved)

    def original(self, name: str) -> Tensor:
        """The unedited weight, fp32 (a copy)."""
        saved = self._saved.get(name)
        source = self.parameter(name) if saved is None else saved
        return source.detach().to(master_dtype(source), copy=True)

    def add(self, patch: WeightPatch) -> Undo:
        """Add the deltas to the running fp32 values and write these; undo restores both."""
        self.check(patch)
        before = {name: (self.parameter(name).clone(), self._running.get(name)) for name in patch.deltas}
        after = {}
        for name, delta in patch.deltas.items():
            self.save(name)
            bits, running = before[name]
            start = bits.to(master_dtype(bits)) if running is None else running
            self._running[name] = start + full(delta, start)
            after[name] = self.write(name, self._running[name])

        def restore() -> list[str]:
            changed = [name for name in before if fingerprint(self.parameter(name)) != after[name]]
            for name, (bits, running) in before.items():
                self.parameter(name).copy_(bits)
                if running is None:
                    del self._running[name]
                else:
                    self._running[name] = running
            return changed

        return Undo(restore)

    def save(self, name: str) -> None:
        """Keep the original bits of a parameter, once."""
        if name not in self._saved:
            parameter = self.parameter(name)
            self._saved[name] = parameter.clone()
            self._marks[name] = fingerprint(parameter)

    def write(self, name: str, value: Tensor) -> Fingerprint:
        """Cast `value` into a saved parameter; the fingerprint of what now stands there."""
        parameter = self.parameter(name)
        parameter.copy_(value)
        return fingerprint(parameter)

    def restore(self, name: str) -> None:
        """Copy the original bits back and check that they are those first seen."""
        parameter = self.parameter(name)
        parameter.copy_(self._saved[name])
        if fingerprint(parameter) != self._marks[name]:
            raise MethodError(f"the saved original of {name} was written into: it cannot be restored")

    def check(self, patch: WeightPatch) -> None:
        """Raise MethodError for a delta that cannot be added; nothing is written."""
        for name, delta in patch.deltas.items():
            parameter = self.parameter(name)
            if name in self._tied:
                raise MethodError(f"{name} is tied to another weight: editing it would edit both; choose another")
            if tuple(parameter.shape) != shape(delta):
                raise MethodError(f"delta for {name} has shape {shape(delta)}, the weight {tuple(parameter.shape)}")

    def parameter(self, name: str) -> Tensor:
        """The parameter's own tensor, without gradient; raises MethodError."""
        return editable(self.model, name)


def editable(model: nn.Module, name: str) -> Tensor:
    """A parameter's own tensor, without gradient; raises MethodError where the model has none, or on no device."""
    try:
        parameter = model.get_parameter(name).detach()
    except AttributeError:
        raise MethodError(f"the model has no parameter {name!r}") from None
    if parameter.is_meta:
        raise MethodError(f"{name} is offloaded and cannot be edited: put its layer on a device with --device-map")
    return parameter


def master_dtype(tensor: Tensor) -> torch.dtype:
    """fp32, or fp64 for an fp64 weight."""
    return torch.promote_types(tensor.dtype, torch.float32)


def swap(model: nn.Module, swaps: Mapping[str, ModuleRecipe]) -> dict[str, nn.Module]:
    """Replace modules by what their recipes build; returns the originals. On an error none is replaced."""
    originals: dict[str, nn.Module] = {}
    try:
        for name, recipe in swaps.items():
            original = submodule(model, name)
            built = recipe.build(original).train(original.training)
            originals[name] = original
            _set(model, name, built)
    except BaseException:
        put_back(model, originals)
        raise
    return originals


def put_back(model: nn.Module, originals: Mapping[str, nn.Module]) -> tuple[str, ...]:
    """Restore modules in reverse order, so that nested names find their parents."""
    for name, module in reversed(list(originals.items())):
        _set(model, name, module)
    return ()


def _set(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    if not child:
        raise MethodError("a patch cannot replace the whole model: name a module inside it")
    setattr(submodule(model, parent), child, module)


def fingerprint(tensor: Tensor) -> Fingerprint:
    """Two weighted sums over a tensor's bits, modulo 2^64: cheap enough for every undo."""
    flat = tensor.detach().reshape(len(tensor) if tensor.ndim else 1, -1).contiguous()
    bits = flat.view(_word(flat))
    rows, columns = bits.sum(dim=1, dtype=torch.int64), bits.sum(dim=0, dtype=torch.int64)
    return tuple(int((sums * _weights(len(sums), sums.device)).sum()) for sums in (rows, columns))  # type: ignore[return-value]


def _word(flat: Tensor) -> torch.dtype:
    """The widest integer that rows and their place in memory are whole multiples of: wider sums are faster."""
    size = flat.element_size()
    for word, wide in ((torch.int64, 8), (torch.int32, 4), (torch.int16, 2)):
        if (flat.shape[1] * size) % wide == 0 and (flat.storage_offset() * size) % wide == 0:
            return word
    return torch.uint8


def _weights(count: int, device: torch.device) -> Tensor:
    # odd and irregular, so that swapped rows or columns do not cancel; products wrap
    return torch.arange(1, count + 1, device=device) * 0x9E3779B97F4A7C1 | 1
