"""One cell from several seeds: the mean over all their cases, n summed, the interval from the scores by case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from editharness.leaderboard.board import Entry
from editharness.stats import ColumnScore, summarise_values
from editharness.store import Scores, read_scores


class Pool:
    """Pools columns over runs; the scores of a folder are read at most once. One instance per table."""

    def __init__(self) -> None:
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
        pooled = self._from_scores(row, name, [entry for entry, _ in scored])
        value, low, high = pooled or self._envelope([cell for _, cell in scored])
        return ColumnScore(first.name, first.title, first.better, value, low, high, n)

    def _from_scores(
        self, row: str, name: str, entries: Sequence[Entry]
    ) -> tuple[float, float, float] | tuple[None, None, None] | None:
        """(mean, low, high) over the scores of all seeds; None where one of them kept no scores."""
        values: dict[str, float] = {}
        clusters: dict[str, str] = {}
        kinds: set[bool] = set()
        for number, entry in enumerate(entries):
            scores = self._scores(entry)
            if scores is None or (row, name) not in scores.columns:
                return None
            by_case, proportion = scores.columns[(row, name)]
            kinds.add(proportion)
            values.update({f"{number} {case}": value for case, value in by_case.items()})
            # a subject is one cluster over all seeds: asking it again is no new trial
            clusters.update({f"{number} {case}": scores.clusters.get(case, case) for case in by_case})
        return summarise_values(values, clusters, proportion=kinds == {True})

    def _envelope(self, cells: Sequence[ColumnScore]) -> tuple[float, float, float] | tuple[None, None, None]:
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
