"""Texts in a record: none may act on a terminal or a page, and none may name a folder of its author's disk."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from editharness.store.portable import without_paths
from editharness.verifying.findings import Finding

_LONGEST = 20_000
_MARKUP = re.compile(r"<[A-Za-z!/?]|javascript:|data:text/html", re.IGNORECASE)
_ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that move a cursor or turn the writing direction."""
_BREAKS = "\n\t"


def check_texts(path: Path, raw: Any) -> Iterator[Finding]:
    """What is wrong with any text or name in parsed JSON, with its place."""
    for place, text in texts(raw):
        if problem := _problem(text):
            yield Finding("error", path, place, problem)


def texts(raw: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every text with its place; the name of a field is a text at its own place."""
    if isinstance(raw, str):
        yield place, raw
    elif isinstance(raw, dict):
        for key, value in raw.items():
            inner = f"{place}.{key}" if place else key
            yield inner, key
            yield from texts(value, inner)
    elif isinstance(raw, list):
        for i, value in enumerate(raw):
            yield from texts(value, f"{place}[{i}]")


def _problem(text: str) -> str:
    if len(text) > _LONGEST:
        return f"a text of {len(text)} characters: no field of a record is so long"
    if any(unicodedata.category(c) in _ACTING and c not in _BREAKS for c in text):
        return "holds characters that act on a terminal (control characters, direction marks): remove them"
    if _MARKUP.search(text):
        return f"looks like HTML ({text[:40]!r}): a record holds plain text"
    if without_paths(text) != text:
        return "names a folder of a disk: only names of files belong into a record"
    return ""
