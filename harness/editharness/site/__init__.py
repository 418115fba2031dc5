"""Boards as a static HTML site: `build(entries, folder)`. It needs no server, and asks nothing of any other machine."""

from editharness.site.build import build

__all__ = ["build"]
