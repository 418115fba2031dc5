"""Memory that a pass has freed is kept for the next one.

glibc gives large blocks back to the system at once and gets them again page by page, zeroed: every forward pass pays
for its logits and activations a second time. What a process needs at most stays the same.
"""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Names of settings in malloc.h."""
KEPT = {MMAP_THRESHOLD: 1 << 25, TRIM_THRESHOLD: 1 << 30, TOP_PAD: 1 << 26}


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed, up to a gigabyte; whether this process has a glibc to ask."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return False
    return all(mallopt(setting, size) for setting, size in KEPT.items())
