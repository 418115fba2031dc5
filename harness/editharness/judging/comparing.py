"""Verdicts as numbers: share of correct answers or mean score, with interval and bounds, and how far two judges agree.

A score is no verdict: a graded judge has a mean with a bootstrap interval, and agreement with nobody.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from editharness.stats import summarise_values, wilson
from editharness.store.judgements import Judged, Judgements

Group = tuple[str, str, str, str]
"""(row, task, arm, moment)."""


@dataclass(frozen=True)
class Share:
    """Correct answers (or, of a `graded` judge, the mean score) of one group by one judge.

    `value`, `low`, `high` are over the `n` scored ones (None where there are none); `bounds` are the share over all
    answers if every unscored one were wrong, and if every one were right (the mean if each scored 0, and 1).
    """

    group: Group
    judge: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int
    bounds: tuple[float, float]
    graded: bool = False


@dataclass(frozen=True)
class Agreement:
    """Two judges over the `n` distinct answers that both scored: share of equal verdicts, Cohen's kappa.

    `kappa` (Cohen 1960) is None where chance alone agrees fully: both judges gave one and the same verdict throughout.
    """

    first: str
    second: str
    n: int
    agree: float | None
    low: float | None
    high: float | None
    kappa: float | None


def shares(made: Sequence[Judgements], subjects: Mapping[str, str]) -> list[Share]:
    """Every group by every judge, judges side by side; `subjects` maps a case to its subject (clusters)."""
    groups: dict[Group, dict[str, list[Judged]]] = {}
    graded = {one.name for one in made if one.graded}
    for one in made:
        for verdict in one.verdicts:
            group = (verdict.row or "none", verdict.task, verdict.arm, verdict.moment)
            groups.setdefault(group, {}).setdefault(one.name, []).append(verdict)
    return [
        _share(group, judge, verdicts, subjects, judge in graded)
        for group, by in groups.items()
        for judge, verdicts in by.items()
    ]


def agreements(made: Sequence[Judgements]) -> list[Agreement]:
    """Every pair of judges that give verdicts."""
    judges = [one for one in made if not one.graded]
    scored = {
        one.name: {v.digest: v.label == "correct" for v in one.verdicts if v.label != "unscored"} for one in judges
    }
    return [_agreement(a, b, scored[a], scored[b]) for a, b in itertools.combinations(scored, 2)]


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """(p_o - p_e) / (1 - p_e), p_o the share of equal verdicts, p_e what chance gives from each judge's own shares."""
    if not pairs:
        return None
    n = len(pairs)
    equal = sum(a == b for a, b in pairs) / n
    first, second = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    chance = first * second + (1 - first) * (1 - second)
    return None if chance >= 1 else (equal - chance) / (1 - chance)


def _share(group: Group, judge: str, verdicts: Sequence[Judged], subjects: Mapping[str, str], graded: bool) -> Share:
    # a question's number keeps two answers about one case apart; both belong to the case's subject
    scored = {f"{v.case}\n{v.item}": _worth(v) for v in verdicts if v.label != "unscored"}
    clusters = {f"{v.case}\n{v.item}": subjects.get(v.case, v.case) for v in verdicts}
    value, low, high = summarise_values(scored, clusters, proportion=not graded)
    right, unscored = sum(scored.values()), len(verdicts) - len(scored)
    bounds = (right / len(verdicts), (right + unscored) / len(verdicts))
    return Share(group, judge, value, low, high, len(scored), unscored, bounds, graded)


def _worth(verdict: Judged) -> float:
    return float(verdict.label == "correct") if verdict.score is None else verdict.score


def _agreement(first: str, second: str, left: Mapping[str, bool], right: Mapping[str, bool]) -> Agreement:
    pairs = [(left[item], right[item]) for item in left if item in right]
    if not pairs:
        return Agreement(first, second, 0, None, None, None, None)
    equal = sum(a == b for a, b in pairs)
    return Agreement(first, second, len(pairs), equal / len(pairs), *wilson(equal, len(pairs)), cohen_kappa(pairs))
