"""Where in a file a field stands: the line (from 1) of a path such as "rows[0].columns[2].name"."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from editharness.errors import DataError, FileFault

Step = str | int
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_SPACE = re.compile(r"[\s,:]*")
_JSON = json.JSONDecoder()


def read_text(path: Path) -> str:
    """A file's text; raises FileFault where it is not UTF-8, DataError where it cannot be read."""
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileFault(path, line, "", f"is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None


def steps(place: str) -> list[Step]:
    """A place taken apart: names of fields, and numbers of items (from 0)."""
    return [int(number) if number else name for number, name in _STEP.findall(place)]


def json_line(text: str, place: Iterable[Step], start: int = 0) -> int:
    """The line of a field in the JSON value at `start`; of the deepest part of the path that is there."""
    at = _gap(text, start)
    line = _line(text, at)
    for step in place:
        found = _inside(text, at, step)
        if found is None:
            break
        line, at = _line(text, found[0]), found[1]
    return line


def record_start(text: str, number: int) -> int:
    """Where the record of this number (from 1) begins: in a JSON array, or in JSON Lines without its empty lines."""
    if text.lstrip()[:1] == "[":
        found = _inside(text, _gap(text, 0), number - 1)
        return found[1] if found else 0
    starts, at = [], 0
    for line in text.split("\n"):
        starts += [at] if line.strip() else []
        at += len(line) + 1
    return starts[number - 1] if number <= len(starts) else 0


def yaml_line(text: str, place: Iterable[Step]) -> int:
    """The line of a key of a YAML text that can be parsed; of the deepest part of the path that is there."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == step), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def _inside(text: str, at: int, step: Step) -> tuple[int, int] | None:
    """(start of the field's name or of the item, start of its value) in the object or list at `at`."""
    wanted = "{" if isinstance(step, str) else "["
    if text[at : at + 1] != wanted:
        return None
    at, number = _gap(text, at + 1), 0
    while text[at : at + 1] not in ("", "}", "]"):
        start, name = at, number
        try:
            if isinstance(step, str):
                name, at = _JSON.raw_decode(text, at)
                at = _gap(text, at)
            if name == step:
                return start, at
            at = _gap(text, _JSON.raw_decode(text, at)[1])
        except ValueError:
            return None
        number += 1
    return None


def _gap(text: str, at: int) -> int:
    """The next place that is no white space, comma or colon."""
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1
