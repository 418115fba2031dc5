"""Where downloaded data and computed second moments are kept: EDITHARNESS_CACHE, else the user's cache folder."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The cache folder; it need not exist yet."""
    named = os.environ.get("EDITHARNESS_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "editharness"
