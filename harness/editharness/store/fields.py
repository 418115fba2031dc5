"""Reading JSON from strangers: bounded, finite, and every complaint names the place."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from editharness.errors import RecordError

_DEEPEST = 24
_LARGEST_INTEGER = 2**63 - 1
_NOT_FINITE = ("inf", "-inf", "nan")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str | bytes) -> Any:
    """Parse JSON; RecordError for what is malformed, not UTF-8, too deep, not finite, or names a field twice."""
    try:
        text = text if isinstance(text, str) else text.decode("utf-8")
    except UnicodeDecodeError:
        raise RecordError("not JSON: not UTF-8") from None
    try:
        raw = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_twins)
        if not _well_formed(raw):
            json.loads(text, parse_float=_finite)  # names the number
    except RecursionError:
        raise RecordError(f"nested deeper than {_DEEPEST} levels") from None
    except ValueError as error:
        raise RecordError(f"not JSON: {_one_line(error)}") from None
    if _HALF.search(text):
        _check_whole(raw)
    return raw


class Fields:
    """One JSON object under a name: hands out its fields one by one and refuses what nobody asked for."""

    def __init__(self, raw: object, where: str) -> None:
        if not isinstance(raw, dict):
            raise RecordError(f"{where or 'record'}: must be an object, not {_kind(raw)}")
        self._raw: dict[str, Any] = raw
        self._where = where
        self._taken: set[str] = set()

    def place(self, key: str) -> str:
        """The name of a field as complaints print it."""
        return f"{self._where}.{key}" if self._where else key

    def refuse(self, key: str, problem: str) -> RecordError:
        """A complaint about one field, to be raised."""
        return RecordError(f"{self.place(key)}: {problem}")

    def has(self, key: str) -> bool:
        """Whether the field is there at all."""
        return key in self._raw

    def _take(self, key: str) -> Any:
        if key not in self._raw:
            raise self.refuse(key, "missing")
        self._taken.add(key)
        return self._raw[key]

    def exactly(self, kinds: Mapping[str, tuple[type, ...]]) -> list[Any] | None:
        """All values in this order, where there are no other fields and each is of one of its kinds.

        Much faster than asking for one after the other, which is left for None: then the complaint has a name.
        """
        if len(self._raw) != len(kinds):
            return None
        values = [self._raw.get(key, self) for key in kinds]
        return values if all(type(v) in k for v, k in zip(values, kinds.values(), strict=True)) else None

    def text(self, key: str) -> str:
        """A string."""
        value = self._take(key)
        if not isinstance(value, str):
            raise self.refuse(key, f"must be text, not {_kind(value)}")
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of a few strings."""
        value = self.text(key)
        if value not in choices:
            raise self.refuse(key, f"must be one of {', '.join(choices)}, not {value[:40]!r}")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self._take(key)
        if not isinstance(value, bool):
            raise self.refuse(key, f"must be true or false, not {_kind(value)}")
        return value

    def count(self, key: str) -> int:
        """An integer from 0."""
        value = self.integer(key)
        if value < 0:
            raise self.refuse(key, f"must be 0 or more, not {value}")
        return value

    def integer(self, key: str) -> int:
        """An integer."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(key, f"must be an integer, not {_kind(value)}")
        if abs(value) > _LARGEST_INTEGER:
            raise self.refuse(key, "is too large a number")
        return value

    def number(self, key: str) -> float:
        """A finite number."""
        return self._number(key, self._take(key))

    def _number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refuse(key, f"must be a number, not {_kind(value)}")
        try:
            return float(value)
        except OverflowError:
            raise self.refuse(key, "is too large a number") from None

    def maybe_text(self, key: str) -> str | None:
        """A string or null."""
        return None if self._null(key) else self.text(key)

    def maybe_count(self, key: str) -> int | None:
        """An integer from 0, or null."""
        return None if self._null(key) else self.count(key)

    def maybe_number(self, key: str) -> float | None:
        """A finite number or null."""
        value = self._take(key)
        return None if value is None else self._number(key, value)

    def maybe_object(self, key: str) -> Fields | None:
        """An object or null."""
        return None if self._null(key) else self.object(key)

    def maybe_span(self, key: str) -> tuple[int, int] | None:
        """Two integers from 1, the second not below the first, or null."""
        if self._null(key):
            return None
        values = self._list(key)
        whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
        if not whole or len(values) != 2 or not 1 <= values[0] <= values[1]:
            raise self.refuse(key, "must be two integers from 1, in order, or null")
        return values[0], values[1]

    def _null(self, key: str) -> bool:
        return self._take(key) is None

    def free(self, key: str) -> Mapping[str, Any]:
        """An object whose fields are not ours to check."""
        value = self._take(key)
        if not isinstance(value, dict):
            raise self.refuse(key, f"must be an object, not {_kind(value)}")
        return value

    def object(self, key: str) -> Fields:
        """An object whose fields are checked by the caller."""
        return Fields(self._take(key), self.place(key))

    def objects(self, key: str) -> list[Fields]:
        """A list of objects."""
        return [Fields(raw, f"{self.place(key)}[{i}]") for i, raw in enumerate(self._list(key))]

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self._list(key)
        if not all(isinstance(value, str) for value in values):
            raise self.refuse(key, "must hold text only")
        return tuple(values)

    def named_counts(self, key: str) -> dict[str, int]:
        """An object of integers from 0."""
        inner = self.object(key)
        return {name: inner.count(name) for name in self._raw[key]}

    def named_numbers(self, key: str) -> dict[str, float]:
        """An object of finite numbers."""
        inner = self.object(key)
        if set(map(type, inner._raw.values())) <= {float}:
            return dict(inner._raw)
        return {name: inner.number(name) for name in inner._raw}

    def measured(self, key: str) -> dict[str, float]:
        """An object of numbers as answers have them: one that is not finite stands there as text ("-inf")."""
        inner = self.object(key)
        return {name: inner._measured(name, value) for name, value in self._raw[key].items()}

    def _measured(self, key: str, value: Any) -> float:
        return float(value) if isinstance(value, str) and value in _NOT_FINITE else self._number(key, value)

    def maybe_integers(self, key: str) -> tuple[int, ...]:
        """A list of integers; empty where the field is not there."""
        if not self.has(key):
            return ()
        values = self._list(key)
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise self.refuse(key, "must hold integers only")
        return tuple(values)

    def named_texts(self, key: str) -> dict[str, str]:
        """An object of strings."""
        inner = self.object(key)
        if set(map(type, inner._raw.values())) <= {str}:
            return dict(inner._raw)
        return {name: inner.text(name) for name in inner._raw}

    def _list(self, key: str) -> list[Any]:
        value = self._take(key)
        if not isinstance(value, list):
            raise self.refuse(key, f"must be a list, not {_kind(value)}")
        return value

    def end(self) -> None:
        """Refuse fields that were not asked for."""
        if len(self._raw) > len(self._taken):
            left = sorted(self._raw.keys() - self._taken)
            raise self.refuse(left[0][:60], "is not a field of this schema")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a finite number")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field stands twice in one object")
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is not a finite number")
    return number


def _well_formed(raw: Any) -> bool:
    """Whether all numbers are finite; refuses what is nested too deep for functions that call themselves."""
    stack: list[tuple[Any, int]] = [([raw], -1)]
    while stack:
        value, depth = stack.pop()
        if depth > _DEEPEST:
            raise RecordError(f"nested deeper than {_DEEPEST} levels")
        children = value.values() if type(value) is dict else value
        kinds = set(map(type, children))  # scores by case are thousands of numbers: no step of ours for each
        numbers = children if kinds == {float} else [child for child in children if type(child) is float]
        if float in kinds and not all(map(math.isfinite, numbers)):
            return False
        if dict in kinds or list in kinds:
            stack += [(child, depth + 1) for child in children if type(child) is dict or type(child) is list]
    return True


def _check_whole(raw: Any) -> None:
    """Refuse half a character (a lone surrogate, as an escape may write it): it can be neither printed nor stored."""
    try:
        json.dumps(raw, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise RecordError("holds half a character (a lone surrogate)") from None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
