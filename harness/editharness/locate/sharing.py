"""Texts that begin alike: their beginning goes through the model once (contexts before many edits' prompts do)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from editharness.locate.forward import WORTH_A_PASS


@dataclass(frozen=True)
class Alike:
    """Texts [k], by number, whose first `shared` tokens are the same and are to be run once."""

    members: tuple[int, ...]
    shared: int


def by_beginning(texts: Sequence[Sequence[int]], worth: int = WORTH_A_PASS) -> list[Alike]:
    """All texts, in groups that share a beginning where that spares more tokens than the two more passes are `worth`.

    The groups spare most tokens: sorted, texts are the leaves of a tree of common beginnings, and every node is taken
    as one group or as its branches' groups.
    """
    order = sorted(range(len(texts)), key=lambda number: list(texts[number]))
    common = [_common(texts[a], texts[b]) for a, b in pairwise(order)]

    def best(low: int, high: int) -> tuple[int, list[tuple[int, int]]]:
        """What order[low:high] spares at best, and the groups (low, high) that do it."""
        if high - low < 2:
            return 0, []
        shared = min(common[low : high - 1])
        whole = (high - low - 1) * shared - 2 * worth
        ends = [low, *(at + 1 for at in range(low, high - 1) if common[at] == shared), high]
        branches = [best(*span) for span in pairwise(ends)]
        apart = sum(spared for spared, _ in branches)
        if whole > max(apart, 0):
            return whole, [(low, high)]
        return apart, [group for _, groups in branches for group in groups]

    groups = best(0, len(order))[1]
    found = [Alike(tuple(sorted(order[low:high])), min(common[low : high - 1])) for low, high in groups]
    held = {number for group in found for number in group.members}
    alone = tuple(number for number in range(len(texts)) if number not in held)
    return [*([Alike(alone, 0)] if alone else []), *found]


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    both = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in both if a != b), min(len(first), len(second)))
