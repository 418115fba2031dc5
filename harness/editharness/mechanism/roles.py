"""The part that each token of a prompt plays, as figure 1 of ROME (arXiv 2202.05262) names them.

Tokens before the subject, BOS among them, have none: nothing is corrupted at or before them, so restoring one
changes nothing. A subject of one token is its own last; where the prompt ends with the subject there is nothing after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from editharness.models.spans import subject_last

Role = Literal[
    "first subject token",
    "middle subject tokens",
    "last subject token",
    "first further token",
    "further tokens",
    "last prompt token",
]
ROLES: tuple[Role, ...] = (
    "first subject token",
    "middle subject tokens",
    "last subject token",
    "first further token",
    "further tokens",
    "last prompt token",
)
"""In the order of the prompt."""

SUBJECT: frozenset[Role] = frozenset(ROLES[:3])


def roles_of(offsets: Sequence[tuple[int, int]], subject: tuple[int, int]) -> tuple[Role | None, ...]:
    """One role per token. `offsets`: character span of each token; `subject`: that of the subject, without spaces.

    Raises EditError where no token covers the subject.
    """
    last = subject_last(offsets, subject)
    first = min(
        (i for i, (left, right) in enumerate(offsets) if left < subject[1] and right > subject[0]), default=last
    )
    return tuple(_role(i, min(first, last), last, len(offsets) - 1) for i in range(len(offsets)))


def _role(token: int, first: int, last: int, end: int) -> Role | None:
    if token < first:
        return None
    if token == last:
        return "last subject token"
    if token < last:
        return "first subject token" if token == first else "middle subject tokens"
    if token == end:
        return "last prompt token"
    return "first further token" if token == last + 1 else "further tokens"
