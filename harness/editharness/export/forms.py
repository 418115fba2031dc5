"""The forms that an edit can be saved in, and which methods each of them can hold. Nothing here imports torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from editharness.errors import UsageError
from editharness.types import MethodSpec

Kind = Literal["checkpoint", "adapter", "patch"]
KINDS: Final[tuple[Kind, ...]] = ("checkpoint", "adapter", "patch")
SHARD: Final = "5GB"
SIZES: Final = "as in 500MB, 5GB"
_BY = {"modules": "modules beside the weights", "router": "rewriting requests"}
_SIZE = re.compile(r"[1-9]\d{0,5}[KMG]B")


@dataclass(frozen=True)
class Wanted:
    """What was asked for: a form; an adapter's `rank`; the size of a checkpoint's files; whether a patch has an undo.

    Raises UsageError for a size that is none.
    """

    kind: Kind = "checkpoint"
    rank: int | None = None
    shard: str = SHARD
    undo: bool = True

    def __post_init__(self) -> None:
        if _SIZE.fullmatch(self.shard) is None:
            raise UsageError(f"--shard {self.shard}: write a size {SIZES}")


def check_method(spec: MethodSpec, kind: Kind) -> None:
    """Raise UsageError for a method whose edits this form cannot hold."""
    if spec.effect == "none":
        raise UsageError(f"method {spec.name!r} changes nothing: there is nothing to save")
    if spec.effect != "weights" and kind != "patch":
        raise UsageError(
            f"method {spec.name!r} edits by {_BY[spec.effect]}, which no {kind} holds: save it --as patch, "
            "or take a method that edits weights (editharness methods)"
        )
