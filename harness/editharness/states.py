"""What a method carries, as a file: named tensors in safetensors, never pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from editharness.types import State


def save_state(state: State, path: Path, facts: Mapping[str, str] | None = None) -> None:
    """Write named tensors; to a temporary name first, so that a broken run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".new")
    ready = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    # a header with empty metadata is written in a way that cannot be read back
    save_file(ready, part, metadata=dict(facts) if facts else None)
    part.replace(path)


def load_state(path: Path) -> tuple[State, Mapping[str, str]] | None:
    """What `save_state` wrote; None where there is no whole file."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            # copies: inside the file tensors lie at any address, and sums over such memory round otherwise
            return {name: file.get_tensor(name).clone() for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return None
