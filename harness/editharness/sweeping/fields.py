"""What a cell of a sweep may say: the names are those of `editharness eval`'s flags, the values YAML's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from editharness.abilities import ability_names
from editharness.cli.cells import MOST_EDITS
from editharness.cli.eval import DTYPES
from editharness.errors import UnknownNameError, UsageError
from editharness.types import Schedule


@dataclass(frozen=True)
class Field:
    """`attribute` of RunConfig that it sets; `read` raises UsageError; `varies`: a list of values makes a grid."""

    attribute: str
    read: Callable[[Any], Any]
    varies: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{value!r} is no name")
    return value.strip()


def _name_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < MOST_EDITS:
        raise UsageError(f"{value!r} is no whole number from 1")
    return value


def _natural(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 10**9:
        raise UsageError(f"{value!r} is no whole number from 0")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{value!r} is neither true nor false")
    return value


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(sorted({_count(one) for one in (value if isinstance(value, list) else [value])}))


def _abilities(value: Any) -> tuple[str, ...]:
    return ability_names(",".join(map(_text, value)) if isinstance(value, list) else _text(value))


def _dtype(value: Any) -> str:
    if _text(value) not in DTYPES:
        raise UnknownNameError("dtype", value, DTYPES)
    return _text(value)


def _file(value: Any) -> Path:
    return Path(_text(value))


def _files(value: Any) -> dict[str, Path]:
    return {_text(name): _file(file) for name, file in _mapping(value).items()}


def _options(value: Any) -> dict[str, str]:
    """Option values as --set takes them."""
    return {_text(name): _setting(one) for name, one in _mapping(value).items()}


def _setting(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_setting, value))
    if isinstance(value, dict):
        raise UsageError(f"{value!r} is no value of an option")
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else str(value)


def _mapping(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{value!r} is no mapping: write name: value")
    return value


FIELDS: Mapping[str, Field] = {
    "method": Field("method", _text, varies=True),
    "preset": Field("preset", _name_or_none, varies=True),
    "options": Field("settings", _options, varies=True),
    "model": Field("model", _text, varies=True),
    "revision": Field("revision", _name_or_none, varies=True),
    "dtype": Field("dtype", _dtype, varies=True),
    "task": Field("task", _text, varies=True),
    "schedule": Field("schedule", lambda value: Schedule.parse(_text(value)), varies=True),
    "edits": Field("edits", _count, varies=True),
    "seed": Field("seed", _natural, varies=True),
    "limit": Field("limit", _count),
    "checkpoints": Field("checkpoints", _numbers),
    "abilities": Field("abilities", _abilities),
    "ability_limit": Field("ability_limit", _count),
    "stop_on_collapse": Field("stop_on_collapse", _flag),
    "device": Field("device", _text),
    "batch_size": Field("batch_size", _count),
    "data": Field("data", _files),
    "corpus": Field("corpus", _file),
    "train": Field("train", _file),
    "trust_remote_code": Field("trust_remote_code", _flag),
}
