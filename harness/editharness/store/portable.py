"""Values as JSON that may be published: finite numbers only, and no absolute path (it would name the user)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from numbers import Integral, Real
from pathlib import Path, PurePath
from typing import Any

from editharness.errors import RecordError

_ABSOLUTE = re.compile(
    r"""(?<![\w.:/\\~<])               # not inside a word, a URL or a relative path
        (?:~|[A-Za-z]:)?[/\\]         # the root, the home folder or a drive
        (?:[^\s'"`,;:|<>()/\\]+[/\\]+)+  # at least one folder
    """,
    re.VERBOSE,
)


def portable(value: Any, where: str = "", *, raw: bool = False) -> Any:
    """`value` (dataclasses, mappings, sequences, sets, paths, numbers) as JSON; RecordError names what does not fit.

    With `raw` texts are evidence and stay as they are, and numbers that are not finite become text ("-inf").
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | PurePath):
        return str(value) if raw else without_paths(str(value))
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _finite(float(value), where, raw)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: portable(getattr(value, f.name), _inner(where, f.name), raw=raw) for f in fields(value)}
    if isinstance(value, Mapping):
        name = str if raw else without_paths
        return {name(str(k)): portable(v, _inner(where, str(k)), raw=raw) for k, v in value.items()}
    if isinstance(value, Set):
        return sorted((portable(v, where, raw=raw) for v in value), key=repr)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [portable(v, f"{where}[{i}]", raw=raw) for i, v in enumerate(value)]
    raise RecordError(f"{where or 'record'}: a {type(value).__name__} cannot stand in a record")


def without_paths(text: str) -> str:
    """`text` with the folders of every absolute path replaced by ".../": a record must not name its author's disk."""
    if text.isascii() and "/" not in text and "\\" not in text:
        return text
    text = text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates cannot be written
    home = str(Path.home())
    if len(home) > 1:
        text = re.sub(rf"{re.escape(home)}(?=[/\\])", "~", text)
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    return _ABSOLUTE.sub(".../", text)


def _finite(number: float, where: str, raw: bool) -> float | str:
    if math.isfinite(number):
        return number
    if raw:
        return str(number)
    raise RecordError(f"{where or 'record'}: {number} is not a finite number")


def _inner(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
