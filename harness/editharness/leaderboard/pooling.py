"""One cell from several seeds: the mean over all their cases, n summed, the interval from the scores by case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from editharness import stats
from editharness.leaderboard.board import Entry
from editharness.stats import ColumnScore, PointScore, SeriesScore, summarise_values
from editharness.store import Scores, read_scores
from editharness.store.write import SCORES

Told = tuple[float | None, float | None, float | None]
ByCase = tuple[Mapping[str, float], bool]


class Kept(Protocol):
    """What earlier calls have pooled, by a hash of all it depends on (`store.index.Index` keeps it on disk)."""

    def digest(self, path: Path) -> str | None:
        """sha256 of a file; None where there is none."""

    def pooled(self, key: str) -> Any:
        """What was kept under the key; KeyError where there is nothing."""

    def keep(self, key: str, told: Any) -> None:
        """Keep it."""


class Pool:
    """Pools columns over runs; the scores of a folder are read at most once. One instance per set of boards.

    With `kept` only scores that were not pooled before are read.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self._kept = kept
        self._read: dict[Path, Scores | None] = {}
        self.enveloped = False
        """Whether some interval had to be the envelope of the seeds' intervals, as their scores were not kept."""

    def column(self, row: str, name: str, entries: Sequence[Entry]) -> ColumnScore | None:
        """Column `name` of row `row` over all entries; None where no run has it."""
        found = [(entry, cell) for entry in entries if (cell := _cell(entry, row, name)) is not None]
        if len(found) <= 1:
            return found[0][1] if found else None
        first, scored = found[0][1], [(entry, cell) for entry, cell in found if cell.n]
        n = sum(cell.n for _, cell in scored)
        own = [entry for entry, _ in scored]
        pooled = self._pooled((row, name), lambda scores: scores.columns.get((row, name)), own)
        value, low, high = pooled or self._envelope([cell for _, cell in scored])
        return ColumnScore(first.name, first.title, first.better, value, low, high, n)

    def series(self, row: str, name: str, entries: Sequence[Entry]) -> SeriesScore | None:
        """Series `name` of row `row` over all entries, point by point; None where no run has it."""
        found = [(entry, series) for entry in entries if (series := _series(entry, row, name)) is not None]
        if len(found) <= 1:
            return found[0][1] if found else None
        keys = sorted({(p.edits, p.cohort or (0, 0)) for _, series in found for p in series.points})
        first = found[0][1]
        points = tuple(self._point(row, name, edits, cohort if cohort[0] else None, found) for edits, cohort in keys)
        return SeriesScore(first.name, first.title, first.better, first.unit, points)

    def _point(
        self,
        row: str,
        name: str,
        edits: int,
        cohort: tuple[int, int] | None,
        found: Sequence[tuple[Entry, SeriesScore]],
    ) -> PointScore:
        here = [
            (entry, point)
            for entry, series in found
            for point in series.points
            if (point.edits, point.cohort) == (edits, cohort) and point.n
        ]
        key = (row, name, edits, cohort)
        pooled = self._pooled(key, lambda scores: scores.points.get(key), [entry for entry, _ in here])
        value, low, high = pooled or self._envelope([point for _, point in here])
        return PointScore(edits, cohort, value, low, high, sum(point.n for _, point in here))

    def _pooled(self, place: object, pick: Callable[[Scores], ByCase | None], entries: Sequence[Entry]) -> Told | None:
        """What `_from_scores` says, from what is kept where these very scores were pooled before."""
        key = self._key(place, entries)
        if self._kept is None or key is None:
            return self._from_scores(pick, entries)
        try:
            told = self._kept.pooled(key)
            return None if told is None else (told[0], told[1], told[2])
        except KeyError:
            made = self._from_scores(pick, entries)
            if self._key(place, entries) == key:  # else a file was changed between the hash and the reading
                self._kept.keep(key, made)
            return made

    def _key(self, place: object, entries: Sequence[Entry]) -> str | None:
        """A hash of the place, of the scores in their order, and of the code; None where some run kept no scores."""
        if self._kept is None:
            return None
        digests = [self._kept.digest(entry.folder / SCORES) if entry.folder else None for entry in entries]
        if None in digests:
            return None
        return hashlib.sha256(json.dumps([self._code, place, digests]).encode()).hexdigest()

    @cached_property
    def _code(self) -> str:
        """What makes the numbers: another version of it may make others."""
        sources = b"".join(Path(file).read_bytes() for file in (stats.__file__, __file__))
        return f"{hashlib.sha256(sources).hexdigest()} {version('numpy')}"

    def _from_scores(self, pick: Callable[[Scores], ByCase | None], entries: Sequence[Entry]) -> Told | None:
        """(mean, low, high) over what `pick` takes of all seeds' scores; None where one of them kept none."""
        values: dict[str, float] = {}
        clusters: dict[str, str] = {}
        kinds: set[bool] = set()
        for number, entry in enumerate(entries):
            scores = self._scores(entry)
            found = pick(scores) if scores is not None else None
            if scores is None or found is None:
                return None
            by_case, proportion = found
            kinds.add(proportion)
            named = [f"{number} {case}" for case in by_case]
            values.update(zip(named, by_case.values(), strict=True))
            # a subject is one cluster over all seeds: asking it again is no new trial
            clusters.update(zip(named, map(scores.clusters.get, by_case, by_case), strict=True))
        return summarise_values(values, clusters, proportion=kinds == {True})

    def _envelope(self, cells: Sequence[ColumnScore] | Sequence[PointScore]) -> Told:
        """Mean weighted by n, and the widest bounds any seed has: wider than needed rather than too narrow."""
        if not cells:
            return None, None, None
        self.enveloped = True
        mean = sum((cell.value or 0.0) * cell.n for cell in cells) / sum(cell.n for cell in cells)
        lows = [cell.low for cell in cells if cell.low is not None]
        highs = [cell.high for cell in cells if cell.high is not None]
        return mean, min([mean, *lows]), max([mean, *highs])

    def _scores(self, entry: Entry) -> Scores | None:
        if entry.folder is None:
            return None
        if entry.folder not in self._read:
            self._read[entry.folder] = read_scores(entry.folder)
        return self._read[entry.folder]


def _cell(entry: Entry, row: str, name: str) -> ColumnScore | None:
    found = entry.record.row(row)
    return next((cell for cell in found.columns if cell.name == name), None) if found else None


def _series(entry: Entry, row: str, name: str) -> SeriesScore | None:
    found = entry.record.row(row)
    return next((series for series in found.series if series.name == name), None) if found else None
