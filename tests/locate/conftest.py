"""Tiny models with edits, shared by the tests of the toolkit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from editharness.testing.tiny import tiny
from editharness.types import Edit

PROMPTS = (
    ("The Eiffel Tower is located in the city of", "Eiffel Tower", "Rome"),
    ("Danielle Darrieux's mother tongue is", "Danielle Darrieux", "English and Italian"),
    ("Tōkyō is a city in", "Tōkyō", "Europe"),
    ("The official language of Norway is called by everyone who lives there", "Norway", "French"),
)


@pytest.fixture(scope="session")
def edits() -> list[Edit]:
    return [
        Edit(str(number), prompt, (prompt.index(subject), prompt.index(subject) + len(subject)), target)
        for number, (prompt, subject, target) in enumerate(PROMPTS)
    ]


@pytest.fixture(scope="session")
def made() -> Callable[[str], tuple[Any, Any]]:
    """tiny(family), made once per family; tests leave the model as it was."""
    known: dict[str, tuple[Any, Any]] = {}

    def make(family: str) -> tuple[Any, Any]:
        if family not in known:
            known[family] = tiny(family)
        return known[family]

    return make
