"""Saved patches: put on a model later, and taken off again bit for bit.

A folder holds the patch (patch.json, patch.safetensors), where it comes from (export.json), and undo.safetensors: the
weights that it changes as they were, since no subtraction gives the bits back. What proves an undo is the digest of the
whole model, which must be that of the base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.errors import MethodError, RecordError, UnknownNameError
from editharness.models.load import weights_digest
from editharness.patch import Patch, WeightPatch, apply, load, save

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.export.provenance import Provenance
    from editharness.models.load import LoadedModel

UNDO = "undo.safetensors"


def write_patch(model: Any, patch: Patch, folder: Path, *, undo: bool = True) -> str:
    """Write a patch that was made for `model` (unedited) into `folder`; the digest of the model with it.

    `undo`: also keep the weights that it changes. For modules and routers, which change no weight, the digest is "".
    """
    save(patch, folder)
    if not isinstance(patch, WeightPatch):
        return ""
    if undo:
        _save(folder / UNDO, {name: model.get_parameter(name) for name in patch.deltas})
    with apply(model, patch):
        return weights_digest(model)


def read_patch(folder: Path) -> WeightPatch:
    """The patch of a folder; raises RecordError, or MethodError where it is no change of weights."""
    try:
        patch = load(folder)
    except UnknownNameError:
        patch = None
    if not isinstance(patch, WeightPatch):
        raise MethodError(
            f"{folder}: this patch holds modules or a router, no change of weights: no checkpoint can hold it; "
            "see docs/export.md for what can"
        )
    return patch


@contextmanager
def put_on(loaded: LoadedModel, patch: WeightPatch, made: Provenance | None) -> Iterator[str]:
    """The model with the patch, as a context that gives its digest; raises MethodError where it does not fit."""
    if made is not None and made.edited_digest == loaded.digest:
        raise MethodError(f"model {loaded.name!r} has this patch already")
    with apply(loaded.model, patch):
        yield weights_digest(loaded.model)


def take_off(loaded: LoadedModel, folder: Path, made: Provenance | None) -> None:
    """Put the weights from before the patch back, for good; raises RecordError, MethodError, the model as it was.

    The model must then be, bit for bit, the one that the patch was made for.
    """
    if made is None:
        raise RecordError(f"{folder}: has no export.json, which says what the model was before")
    if made.base.digest == loaded.digest:
        raise MethodError(f"model {loaded.name!r} does not have this patch: there is nothing to undo")
    saved = _saved(folder / UNDO)
    edited = {name: _parameter(loaded, name, tensor).clone() for name, tensor in saved.items()}
    _write(loaded.model, saved)
    if weights_digest(loaded.model) != made.base.digest:
        _write(loaded.model, edited)
        raise MethodError(
            f"model {loaded.name!r} is not {made.base.name!r} ({made.base.dtype}) with this patch: without it the "
            f"weights are not {made.base.digest[:12]}, so that something else was changed as well"
        )


def _saved(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file (saved with --no-undo?): load the base instead") from None
    except (OSError, SafetensorError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from None
    return found


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, path)


def _parameter(loaded: LoadedModel, name: str, like: Tensor) -> Tensor:
    try:
        parameter: Tensor = loaded.model.get_parameter(name).detach()
    except AttributeError:
        raise MethodError(f"model {loaded.name!r} has no parameter {name!r}: this patch is of another model") from None
    if parameter.shape != like.shape or parameter.dtype != like.dtype:
        raise MethodError(
            f"model {loaded.name!r} has {name} as {_form(parameter)}, and the patch was made for {_form(like)}"
        )
    return parameter


def _form(tensor: Tensor) -> str:
    return f"{'x'.join(map(str, tensor.shape))} {str(tensor.dtype).removeprefix('torch.')}"


def _write(model: Any, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        model.get_parameter(name).detach().copy_(tensor)
