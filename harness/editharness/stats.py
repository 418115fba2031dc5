"""Intervals: Wilson for a proportion, a bootstrap over subjects for every other mean.

Two facts about one subject are not two independent trials, so cases are grouped into clusters (their subjects): the
bootstrap draws whole clusters, and the Wilson interval uses the effective sample size n / design effect.
All intervals are 95 % and the same input always gives the same numbers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from editharness.protocol import Better, Column, Series

_Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: intervals are two-sided 95 %."""

_DRAWS_AT_ONCE = 1_000_000


@dataclass(frozen=True)
class ColumnScore:
    """One cell of a board: the mean over `n` cases and its 95 % interval; all None where no case could be scored."""

    name: str
    title: str
    better: Better
    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class PointScore:
    """One point of a series: the mean over `n` cases after `edits` facts, of one cohort (first, last) or of all."""

    edits: int
    cohort: tuple[int, int] | None
    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class SeriesScore:
    """A series with its intervals; `unit` "%": shares, shown in per cent."""

    name: str
    title: str
    better: Better
    unit: str
    points: tuple[PointScore, ...]


def wilson(successes: float, n: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927); (0, 1) for n = 0. Both may be effective, hence real."""
    if not 0 <= successes <= n or not math.isfinite(n):
        raise ValueError(f"a proportion needs 0 <= successes <= n, not {successes} of {n}")
    if n == 0:
        return 0.0, 1.0
    share, spread = successes / n, _Z * _Z / n
    centre = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    # rounding must not push a bound past the share itself or out of [0, 1]
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def bootstrap_mean(
    values: Mapping[str, float], clusters: Mapping[str, str], seed: int = 0, samples: int = 2000
) -> tuple[float, float, float]:
    """Mean of `values` (by case) with the 95 % percentile interval of a bootstrap that draws whole clusters.

    `clusters` names each case's cluster (its subject); a case it does not name is its own. The order of the mapping
    does not matter. Where all values are equal the interval has no width.
    """
    import numpy as np

    sums, counts = _cluster_totals(values, clusters)
    if not sums:
        raise ValueError("the mean of no values")
    total, size = np.asarray(sums), np.asarray(counts, dtype=np.float64)
    mean = math.fsum(sums) / sum(counts)
    rng, means = np.random.default_rng(seed), []
    block = max(1, _DRAWS_AT_ONCE // len(sums))
    for start in range(0, samples, block):
        drawn = rng.integers(len(sums), size=(min(block, samples - start), len(sums)))
        means.append(total[drawn].sum(axis=1) / size[drawn].sum(axis=1))
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return mean, min(float(low), mean), max(float(high), mean)


def design_effect(values: Mapping[str, float], clusters: Mapping[str, str]) -> float:
    """How much the clustering widens the variance of a proportion, never below 1 (Kish 1965).

    Ratio of the cluster-robust variance of the mean to share (1 - share) / n.
    """
    n, share = len(values), math.fsum(values.values()) / len(values)
    sums, counts = _cluster_totals(values, clusters)
    if len(sums) in (1, n) or not 0 < share < 1:
        return 1.0
    residuals = (total - share * count for total, count in zip(sums, counts, strict=True))
    robust = len(sums) / (len(sums) - 1) * math.fsum(r * r for r in residuals) / n**2
    return min(max(1.0, robust * n / (share * (1 - share))), float(n))


def summarise_column(column: Column, clusters: Mapping[str, str]) -> ColumnScore:
    """A protocol's column as one cell: mean, interval, n. `clusters` maps each case to its subject."""
    value, low, high = summarise_values(column.values, clusters, proportion=column.proportion)
    return ColumnScore(column.name, column.title, column.better, value, low, high, len(column.values))


def summarise_series(series: Series, clusters: Mapping[str, str]) -> SeriesScore:
    """A protocol's series, every point as a column would be. `clusters` maps each case to its subject."""
    points = []
    for point in series.points:
        value, low, high = summarise_values(point.values, clusters, proportion=series.proportion)
        points.append(PointScore(point.edits, point.cohort, value, low, high, len(point.values)))
    return SeriesScore(series.name, series.title, series.better, series.unit, tuple(points))


def summarise_values(
    values: Mapping[str, float], clusters: Mapping[str, str], *, proportion: bool
) -> tuple[float, float, float] | tuple[None, None, None]:
    """(mean, low, high) of scores by case; three None where there are no cases.

    A `proportion` has scores in [0, 1]; where some lie in between, Wilson's interval is wider than need be.
    """
    for case, value in values.items():
        if not math.isfinite(value) or (proportion and not 0 <= value <= 1):
            raise ValueError(f"case {case!r} has the score {value}")
    if not values:
        return None, None, None
    if not proportion:
        return _alike(values, clusters) if len(set(values.values())) == 1 else bootstrap_mean(values, clusters)
    n = len(values) / design_effect(values, clusters)
    share = min(1.0, math.fsum(values.values()) / len(values))
    low, high = wilson(share * n, n)
    return share, min(low, share), max(high, share)


def _alike(values: Mapping[str, float], clusters: Mapping[str, str]) -> tuple[float, float, float]:
    """Where all values are equal a bootstrap has no width, whatever n is: bound what was not seen instead.

    At most a share u of subjects (Wilson's bound for none in so many) has another value, and differences lie in
    [-1, 1], so the mean lies between value - u (value + 1) and value + u (1 - value).
    """
    value = next(iter(values.values()))
    unseen = wilson(0, len(_cluster_totals(values, clusters)[0]))[1]
    return value, value - unseen * max(0.0, value + 1), value + unseen * max(0.0, 1 - value)


def _cluster_totals(values: Mapping[str, float], clusters: Mapping[str, str]) -> tuple[list[float], list[int]]:
    """Sum and number of values per cluster, in the order of the clusters' names."""
    grouped: dict[tuple[bool, str], list[float]] = defaultdict(list)
    for case in sorted(values):
        # a case without a cluster must not fall in with a cluster of the same name
        grouped[(case in clusters, clusters.get(case, case))].append(values[case])
    ordered = [grouped[name] for name in sorted(grouped)]
    return [math.fsum(group) for group in ordered], [len(group) for group in ordered]
