"""Options of a method: declared once as a frozen dataclass, read from `--set key=value`, presets and help alike.

@dataclass(frozen=True)
class RomeOptions:
    layers: tuple[int, ...] = option((), "layers to edit; empty: chosen by depth", low=0)
    steps: int = option(20, "gradient steps per value", low=1, high=1000)
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union

from editharness.errors import OptionError, UnknownNameError

T = TypeVar("T")

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_NONE = ("none", "null", "")


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[object] | None = None,
) -> Any:
    """A dataclass field with help and limits (inclusive; of each element where the field is a tuple)."""
    limits = {"help": help, "low": low, "high": high, "choices": None if choices is None else tuple(choices)}
    return dataclasses.field(default=default, metadata=limits)


@dataclass(frozen=True)
class OptionInfo:
    """One option as help shows it and a parser needs it; `type` is the words for it, `annotation` the real thing."""

    name: str
    type: str
    default: Any
    help: str
    low: float | None
    high: float | None
    choices: tuple[object, ...] | None
    annotation: Any

    @property
    def limits(self) -> str:
        """The allowed values in words, "" where anything of the type will do."""
        if self.choices is not None:
            return "one of " + ", ".join(show(c) for c in self.choices)
        if self.low is not None and self.high is not None:
            return f"{self.low:g} to {self.high:g}"
        if self.low is not None:
            return f"{self.low:g} or more"
        return "" if self.high is None else f"{self.high:g} or less"


def describe(options_type: type[Any] | None) -> list[OptionInfo]:
    """The options of a method in the order of their declaration; empty for a method that has none."""
    if options_type is None:
        return []
    hints = typing.get_type_hints(options_type)
    return [_info(f, hints[f.name]) for f in dataclasses.fields(options_type) if f.init]


def parse_settings(settings: Iterable[str]) -> dict[str, str]:
    """`key=value` texts from the command line -> mapping; raises OptionError for a missing "=" or a key given twice."""
    found: dict[str, str] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise OptionError(f"--set {text}: write it as --set key=value")
        if key in found:
            raise OptionError(f"--set {key} is given twice ({found[key]!r} and {value!r}): give it once")
        found[key] = value
    return found


def resolve_options(options_type: type[T], preset_values: Mapping[str, Any], overrides: Mapping[str, Any]) -> T:
    """The options of a run: the class's defaults, then the preset's values, then what was typed.

    Texts are read by the field's type; typed values (from YAML) are checked against it, and a list becomes a tuple.
    Raises UnknownNameError for a key that is no option and OptionError for a wrong type or a value out of range.
    """
    known = {info.name: info for info in describe(options_type)}
    values: dict[str, Any] = {}
    for name, value in [*preset_values.items(), *overrides.items()]:
        if name not in known:
            raise UnknownNameError("option", name, known)
        values[name] = read(known[name], value)
    try:
        return options_type(**values)
    except (TypeError, ValueError) as error:
        raise OptionError(f"these options do not go together: {_one_line(error)}") from error


def read(info: OptionInfo, value: Any) -> Any:
    """One value by the option's type, within its limits; raises OptionError that says what to type instead."""
    try:
        found = _convert(info.annotation, value)
    except (TypeError, ValueError):
        limits = f" ({info.limits})" if info.limits else ""
        raise OptionError(
            f"option {info.name}={show(value)} is not {info.type}{limits}: "
            f"write for example {info.name}={show(info.default)}"
        ) from None
    for element in found if isinstance(found, tuple) else (found,):
        if not _allowed(info, element):
            raise OptionError(
                f"option {info.name}={show(value)} is out of range: use {info.limits} (default {show(info.default)})"
            )
    return found


def show(value: object) -> str:
    """A value as one would type it after `--set key=`."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(show(v) for v in value)
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _info(field: dataclasses.Field[Any], annotation: Any) -> OptionInfo:
    default = field.default
    if default is dataclasses.MISSING:
        default = None if field.default_factory is dataclasses.MISSING else field.default_factory()
    meta = field.metadata
    return OptionInfo(
        name=field.name,
        type=_words(annotation),
        default=default,
        help=str(meta.get("help", "")),
        low=meta.get("low"),
        high=meta.get("high"),
        choices=meta.get("choices"),
        annotation=annotation,
    )


_WORDS: Mapping[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _words(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return "one of " + ", ".join(show(value) for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if kind is type(None) else _words(kind) for kind in inner)
    if origin is tuple:
        plural = {int: "whole numbers", float: "numbers", str: "texts"}.get(inner[0], "values")
        count = "" if inner[-1] is Ellipsis else f"{len(inner)} "
        return f"{count}{plural} separated by commas"
    return _WORDS.get(annotation, str(annotation))


def _convert(annotation: Any, value: Any) -> Any:
    """The value as `annotation`; raises ValueError where it is not one."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return _pick(inner, value)
    if origin in (Union, types.UnionType):
        return _convert_union(inner, value)
    if origin is tuple:
        return _convert_tuple(inner, value)
    readers = {int: _int, float: _float, bool: _bool, str: _str}
    return readers[annotation](value)


def _convert_union(inner: tuple[Any, ...], value: Any) -> Any:
    if type(None) in inner and (value is None or (isinstance(value, str) and value.strip().lower() in _NONE)):
        return None
    for kind in inner:
        if kind is not type(None):
            try:
                return _convert(kind, value)
            except (TypeError, ValueError):
                continue
    raise ValueError(value)


def _convert_tuple(inner: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        text = value.strip().removeprefix("[").removesuffix("]").strip()
        value = [part.strip() for part in text.split(",")] if text else []
    elif not isinstance(value, list | tuple):
        value = [value]
    kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
    if len(kinds) != len(value):
        raise ValueError(value)
    return tuple(_convert(kind, part) for kind, part in zip(kinds, value, strict=True))


def _pick(choices: tuple[Any, ...], value: Any) -> Any:
    for choice in choices:
        if value == choice or (isinstance(value, str) and value.strip() == show(choice)):
            return choice
    raise ValueError(value)


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(value)
    return int(value)


def _float(value: Any) -> float:
    # YAML reads 1e-4 as text, so a text is a number here too; nan would pass every range check
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not math.isfinite(float(value)):
        raise ValueError(value)
    return float(value)


def _bool(value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() in (*_TRUE, *_FALSE):
        return value.strip().lower() in _TRUE
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _allowed(info: OptionInfo, value: Any) -> bool:
    if value is None:
        return True
    if info.choices is not None and value not in info.choices:
        return False
    below = info.low is not None and value < info.low
    above = info.high is not None and value > info.high
    return not (below or above)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
