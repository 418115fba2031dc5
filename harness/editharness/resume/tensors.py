"""Tensors by their content: a hash, a file, and the one form in which they are the same before and after the disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import ref

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

if TYPE_CHECKING:
    from torch import Tensor

_ALIGNED = 64
"""Where torch's own memory begins. Sums over memory that begins elsewhere may round otherwise."""
_known: dict[int, tuple[ref[Tensor], int, str]] = {}


def plain(tensor: Tensor) -> Tensor:
    """The tensor itself if it lies in memory as one from a file does, else a copy that does: contiguous, aligned."""
    found = tensor.detach()
    if found.is_contiguous() and found.data_ptr() % _ALIGNED == 0:
        return tensor if not tensor.requires_grad else found
    return found.clone(memory_format=torch.contiguous_format)


def content(tensor: Tensor) -> str:
    """SHA-256 over type, shape and bits; remembered while nobody writes into the tensor."""
    known = _known.get(id(tensor))
    if known is not None and known[0]() is tensor and known[1] == tensor._version:
        return known[2]
    digest = _digest(tensor)
    _known[id(tensor)] = (ref(tensor, partial(_forget, id(tensor))), tensor._version, digest)
    return digest


def _forget(key: int, gone: ref[Tensor]) -> None:
    _known.pop(key, None)


def _digest(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    found = hashlib.sha256(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
    found.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return found.hexdigest()


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a safetensors file, whole and on the disk or not at all; raises OSError."""
    part = path.with_name(path.name + ".new")
    try:
        save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except SafetensorError as error:  # a full disk comes as one of these, with the reason in its text
        raise OSError(str(error).rpartition("I/O error: ")[2].partition(" (os error")[0]) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def read_tensors(path: Path, wanted: Iterable[str]) -> dict[str, Tensor]:
    """Those of the wanted tensors, named by their content, that are there and undamaged."""
    found: dict[str, Tensor] = {}
    with suppress(OSError, SafetensorError), safe_open(path, framework="pt") as file:
        there = set(file.keys())
        for name in wanted:
            if name in there:
                # a copy: inside the file a tensor lies at any address
                tensor = file.get_tensor(name).clone()
                if content(tensor) == name:
                    found[name] = tensor
    return found
