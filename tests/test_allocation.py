"""Freed memory is kept: a block that is taken again and again is paid for once."""

from __future__ import annotations

import subprocess
import sys

import pytest

TAKEN = """
import resource, torch
from editharness.allocation import keep_freed_memory
if {keep} and not keep_freed_memory():
    print("none")
    raise SystemExit
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def take():
    blocks = [torch.empty(5, 1024, 1024).fill_(1.0) for _ in range(6)]
for _ in range(2):
    take()
before = faults()
for _ in range(10):
    take()
print(faults() - before)
"""


def test_a_large_block_is_paid_for_once() -> None:
    def taken(keep: bool) -> str:
        run = [sys.executable, "-c", TAKEN.format(keep=keep)]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()

    kept = taken(True)
    if kept == "none":
        pytest.skip("no glibc here")
    assert int(kept) * 10 < int(taken(False))
