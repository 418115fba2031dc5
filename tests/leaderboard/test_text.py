from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.leaderboard.text import interval, percent, plain, seconds
from editharness.stats import ColumnScore


@given(st.text())
@settings(deadline=None)
def test_plain_is_one_printable_line(text: str) -> None:
    safe = plain(text, 50)
    assert len(safe) <= 50
    assert len(safe.splitlines()) <= 1
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in safe)
    safe.encode()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("memit", "memit"),
        ("\x1b[2Jgone\x07", "?[2Jgone?"),
        ("a\nb\tc", "a b c"),
        ("\u202eevil", "?evil"),
        ("[red]x[/red]", "[red]x[/red]"),
        ("Ω é 中", "Ω é 中"),
    ],
)
def test_plain(text: str, safe: str) -> None:
    assert plain(text) == safe


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0.0"), (1.0, "100.0"), (-0.0001, "0.0"), (-0.25, "-25.0"), (0.12345, "12.3")],
)
def test_percent(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_interval() -> None:
    cell = ColumnScore("x", "", "higher", 0.93, 0.8612, 0.9701, 50)
    assert interval(cell) == "[86.1, 97.0]"
    assert interval(cell, 0) == "[86,97]"
    assert interval(ColumnScore("x", "", "higher", 0.0, -0.0001, 0.001, 50), 0) == "[0,0]"
    assert interval(ColumnScore("x", "", "higher", None, None, None, 0)) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.001, "<0.01"), (0.5, "0.50"), (12.34, "12.3"), (1234.5, "1234")]
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text
