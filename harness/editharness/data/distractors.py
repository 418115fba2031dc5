"""A third answer for every case: wrong before the edit and after it, of the same type.

A model that calls every statement true, or every statement about the edited subject, is told apart from one that knows
the fact by a statement with an answer that nobody wrote and that was never true.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from editharness.types import Case


def with_distractors(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Every case with a `distractor`: an answer of another case of its relation (else type), neither old nor target.

    Drawn by the case's id, so that the order of the cases does not move it. Empty where nothing else is left.
    """
    pools: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in cases:
        for key in _keys(case):
            pools[key].update(answer for answer in (case.old, case.target) if answer)
    ordered = {key: sorted(pool) for key, pool in pools.items()}
    return tuple(case if case.distractor else replace(case, distractor=_drawn(case, ordered)) for case in cases)


def _keys(case: Case) -> tuple[tuple[str, str], ...]:
    """Where to look for another answer, the most alike first; a case without relation or type looks everywhere."""
    named = (("relation", case.relation), ("type", case.answer_type))
    return tuple(key for key in named if key[1]) or (("all", ""),)


def _drawn(case: Case, pools: dict[tuple[str, str], list[str]]) -> str:
    known = {text.casefold() for text in (case.old, case.target, *case.old_aliases, *case.target_aliases)}
    for key in _keys(case):
        others = [answer for answer in pools[key] if answer.casefold() not in known]
        if others:
            return random.Random(case.id).choice(others)
    return ""
