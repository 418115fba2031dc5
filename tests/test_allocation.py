"""Freed memory stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

TAKEN = """
import torch
from pathlib import Path
from editharness.allocation import keep_freed_memory
if not keep_freed_memory():
    print("none")
    raise SystemExit
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
before = resident()
blocks = [torch.empty(5, 1024, 1024).fill_(1.0) for _ in range(6)]
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_is_freed_is_kept() -> None:
    told = subprocess.run([sys.executable, "-c", TAKEN], capture_output=True, text=True, check=True).stdout.strip()
    if told == "none":
        pytest.skip("no glibc here")
    assert int(told) > 6 * 20 * 2**20 * 0.9
