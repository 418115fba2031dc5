"""Two ways of doing the same, timed alternately in one process, and whether they give the same."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pair:
    """`fast` against `slow`: both return what they computed, `agree` says in a few words how far apart that is.

    `least`: the ratio that is asked for (for `at_most` the largest one allowed). `slow_share`: the part of the work
    that `slow` does (0.1: every tenth edit), by which its time is divided.
    """

    name: str
    fast: Callable[[], Any]
    slow: Callable[[], Any]
    agree: Callable[[Any, Any], str]
    least: float
    at_most: bool = False
    slow_share: float = 1.0


@dataclass(frozen=True)
class Clocked:
    """Wall and CPU seconds of one call."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Measured:
    """Medians of both sides, the ratio slow / fast of each repetition, and how far the results are apart."""

    pair: Pair
    fast: Clocked
    slow: Clocked
    ratios: tuple[float, ...]
    cpu_ratio: float
    agree: str

    @property
    def ratio(self) -> float:
        """Median over the repetitions, wall."""
        return statistics.median(self.ratios)

    @property
    def reached(self) -> bool:
        """Whether the ratio is what is asked for."""
        return self.ratio <= self.pair.least if self.pair.at_most else self.ratio >= self.pair.least

    def row(self) -> list[str]:
        """As a row of the table."""
        sign = "at most" if self.pair.at_most else "at least"
        spread = f"{min(self.ratios):.3g}-{max(self.ratios):.3g}"
        return [
            self.pair.name, f"{seconds(self.fast.wall)} / {seconds(self.slow.wall)}",
            f"**{self.ratio:.3g}** ({spread})", f"{self.cpu_ratio:.3g}", f"{sign} {self.pair.least:g}",
            "yes" if self.reached else "**no**", self.agree,
        ]  # fmt: skip


HEADINGS = ("what", "ours / the other", "ratio, wall (range)", "ratio, CPU", "asked for", "reached", "results agree")


def measure(pair: Pair, repeats: int) -> Measured:
    """Both once to warm up and compare, then `repeats` times each in turn."""
    agree = pair.agree(pair.fast(), pair.slow())
    both = [(clocked(pair.fast), clocked(pair.slow)) for _ in range(repeats)]
    fast = _median([one for one, _ in both], 1.0)
    slow = _median([one for _, one in both], pair.slow_share)
    # what must stay small is ours over the other's, what must be large is the other's over ours
    ratios = tuple(_over(one.wall, two.wall / pair.slow_share, pair.at_most) for one, two in both)
    return Measured(pair, fast, slow, ratios, _over(fast.cpu, slow.cpu, pair.at_most), agree)


def clocked(work: Callable[[], Any]) -> Clocked:
    """One call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Clocked(time.perf_counter() - wall, time.process_time() - cpu)


def seconds(value: float) -> str:
    """Three figures, in s or ms."""
    return f"{value:.3g} s" if value >= 0.1 else f"{1000 * value:.3g} ms"


def table(measured: Iterator[Measured], show: Callable[[str], None]) -> None:
    """Rows in Markdown, each shown as soon as it is known."""
    show("| " + " | ".join(HEADINGS) + " |")
    show("|" + " --- |" * len(HEADINGS))
    for one in measured:
        show("| " + " | ".join(one.row()) + " |")


def _over(fast: float, slow: float, at_most: bool) -> float:
    return fast / slow if at_most else slow / fast


def _median(found: list[Clocked], share: float) -> Clocked:
    wall, cpu = statistics.median(one.wall for one in found), statistics.median(one.cpu for one in found)
    return Clocked(wall / share, cpu / share)
