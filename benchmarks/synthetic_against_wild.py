"""How far synthetic evaluation lies above WILD, over the same cases: from the records of runs of both.

    python benchmarks/synthetic_against_wild.py RUNS...     # folders that hold runs of --task synthetic_X and wild_X

Prints one Markdown line per row and schedule: both reliabilities and their paired difference, in %, with 95 % intervals
(a bootstrap over subjects), and whether the interval lies above zero.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from editharness.stats import summarise_values
from editharness.store import RunRecord, Scores, read_record, read_scores
from editharness.store.read import find_records

Key = tuple[str, str, str, int]
"""Data set, method, schedule, seed."""


def runs(paths: Sequence[Path]) -> dict[tuple[str, Key], tuple[RunRecord, Scores]]:
    """(protocol, key) -> record and scores by case, of all runs in the folders; the last written wins."""
    found = {}
    for path in sorted(find_records(paths), key=lambda path: read_record(path).created):
        record, scores = read_record(path), read_scores(path.parent)
        if scores is not None:
            key = (record.data.name, record.method.name, record.schedule.asked, record.schedule.seed)
            found[record.protocol.name, key] = (record, scores)
    return found


def lines(paths: Sequence[Path]) -> Iterator[str]:
    """The table."""
    yield "| data | schedule | row | n | synthetic | WILD | difference | above zero |"
    yield "|---|---|---|---|---|---|---|---|"
    found, told = runs(paths), set[tuple[str, str, int]]()
    for (protocol, key), (_, wild) in sorted(found.items(), key=lambda one: (one[0][1][0], one[0][1][2], one[0][1][1])):
        if protocol != "wild" or ("synthetic", key) not in found:
            continue
        synthetic = found["synthetic", key][1]
        setting = (key[0], key[2], key[3])
        for row in (key[1],) if setting in told else ("none", "context", key[1]):
            yield _line(key, row, synthetic, wild)
        told.add(setting)  # the controls of a setting are the same beside every method


def _line(key: Key, row: str, synthetic: Scores, wild: Scores) -> str:
    first, second = (scores.columns[row, "reliability"][0] for scores in (synthetic, wild))
    both = [case for case in first if case in second]
    told = [
        summarise_values({case: values[case] for case in both}, synthetic.clusters, proportion=True)
        for values in (first, second)
    ]
    gap = summarise_values({c: first[c] - second[c] for c in both}, synthetic.clusters, proportion=False)
    above = "yes" if gap[1] is not None and gap[1] > 0 else "no"
    cells = [key[0], key[2], row, str(len(both)), *(_cell(*one) for one in (*told, gap)), above]
    return f"| {' | '.join(cells)} |"


def _cell(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return "–"
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("runs", nargs="+", type=Path)
    for line in lines(parser.parse_args().runs):
        print(line)


if __name__ == "__main__":
    main()
