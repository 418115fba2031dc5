"""Where the code and the presets of the methods lie."""

from __future__ import annotations

from pathlib import Path

CODE = "editharness_plugins.methods"
PRESETS = Path(__file__).parents[1] / "presets"
