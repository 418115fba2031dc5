"""How many threads a model runs on. A small model's operations are too short to share: threads wait for each other."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")

ASKED = "OMP_NUM_THREADS"
"""Environment variable: who sets it has chosen."""
SMALL = 50_000_000
"""Parameters below which one thread is as fast as two on an idle machine, and several times faster on a busy one."""


def suit_threads(parameters: int) -> None:
    """One thread for a model of so few `parameters`, unless the user has chosen; torch's own number for others."""
    if parameters < SMALL and ASKED not in os.environ:
        torch.set_num_threads(1)


def threads_kept(function: Callable[P, R]) -> Callable[P, R]:
    """The function, after which torch has as many threads as before."""

    @wraps(function)
    def kept(*args: P.args, **kwargs: P.kwargs) -> R:
        before = torch.get_num_threads()
        try:
            return function(*args, **kwargs)
        finally:
            torch.set_num_threads(before)

    return kept
