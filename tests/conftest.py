"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# a loaded machine is slow: no example has a deadline; HYPOTHESIS_PROFILE=long tries many more
settings.register_profile("quick", deadline=None)
settings.register_profile("long", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of reference values and real benchmark data; tests that need it skip where it is absent."""
    named = os.environ.get("EDITHARNESS_REFERENCE")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared"
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(f"EDITHARNESS_REFERENCE names {named}, which is not a folder")
    pytest.skip("no reference values here: set EDITHARNESS_REFERENCE to their folder")
