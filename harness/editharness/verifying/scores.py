"""Three accounts of the same numbers: the record, the scores by case, and what the answers give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from editharness.store import RunRecord, Scores, not_so
from editharness.store.recompute import not_shown
from editharness.store.write import SCORES
from editharness.verifying.answers import Again, same
from editharness.verifying.findings import Finding, few
from editharness.verifying.plan import Planned


def check_numbers(path: Path, record: RunRecord, scores: Scores) -> Iterator[Finding]:
    """Every value, interval and n of the record follows from scores.jsonl, and nothing there is left out."""
    yield from few(Finding("error", path, place, problem) for place, problem in not_so(record, scores))
    unseen = (
        Finding("error", path, "rows", f"{what} is in scores.jsonl and not here") for what in not_shown(record, scores)
    )
    yield from few(unseen)


def check_rows(path: Path, record: RunRecord, planned: Planned) -> Iterator[Finding]:
    """Every control that the protocol asks for is a row, and so is the method: no more, no less."""
    controls = planned.protocol.controls
    wanted = dict.fromkeys(controls, "control") | {
        row: "control" if row in controls else "method" for row in planned.arms
    }
    there = {row.row: row.kind for row in record.rows}
    for row in wanted:
        if row not in there:
            yield Finding("error", path, "rows", f"row {row!r} is missing: no board may lack a control")
        elif there[row] != wanted[row]:
            yield Finding("error", path, "rows", f"row {row!r} is a {wanted[row]}, not a {there[row]}")
    for row in there:
        if row not in wanted:
            yield Finding("error", path, "rows", f"row {row[:60]!r} is none that this run makes")


def check_columns(path: Path, record: RunRecord, again: Again) -> Iterator[Finding]:
    """Columns have the names, titles and directions that the protocol gives them."""
    there = {(row.row, column.name): (column.title, column.better) for row in record.rows for column in row.columns}
    wrong = (
        Finding("error", path, "rows", f"row {key[0]}, column {key[1]}: {problem}")
        for key in {**again.titles, **there}
        if (problem := _column_problem(there.get(key), again.titles.get(key)))
    )
    yield from few(wrong)


def _column_problem(said: tuple[str, str] | None, known: tuple[str, str] | None) -> str:
    if said is None or known is None:
        return "missing" if said is None else "is none of this protocol"
    return "" if said == known else f"is {said}, and the protocol says {known}"


def check_scores(folder: Path, scores: Scores, again: Again, planned: Planned, *, lenient: bool) -> Iterator[Finding]:
    """scores.jsonl is what the answers give, case by case. `lenient`: answers of a version that kept no tokens."""
    path = folder / SCORES
    subjects = {case.id: case.subject_text for case in planned.cases}
    if dict(scores.clusters) != subjects:
        yield Finding("error", path, "clusters", "are not the cases of this run with their subjects")
    yield from few(_columns(path, scores, again, lenient=lenient))
    yield from few(_points(path, scores, again))


def _columns(path: Path, scores: Scores, again: Again, *, lenient: bool) -> Iterator[Finding]:
    for key in {**again.columns, **scores.columns}:
        said, known = scores.columns.get(key, ({}, True))[0], again.columns.get(key, {})
        place = f"row {key[0]}, column {key[1]}"
        if lenient and said and not known and key in again.columns:
            yield Finding("warning", path, place, "cannot be computed from answers of schema 1, which hold no tokens")
        elif problem := _difference(said, known):
            yield Finding("error", path, place, problem)


def _points(path: Path, scores: Scores, again: Again) -> Iterator[Finding]:
    """Series that the protocol makes; others (loss on text, abilities) are measured beside the answers."""
    ours = {key[:2] for key in again.points}
    for key in {**again.points, **scores.points}:
        if key[:2] in ours and (
            problem := _difference(scores.points.get(key, ({}, True))[0], again.points.get(key, {}))
        ):
            yield Finding("error", path, f"row {key[0]}, series {key[1]}, after {key[2]} edits", problem)


def _difference(said: Mapping[str, float], known: Mapping[str, float]) -> str:
    lacking = [case for case in known if case not in said]
    extra = [case for case in said if case not in known]
    if lacking:
        return (
            f"case {lacking[0]} is left out, with {len(lacking) - 1} others"
            if lacking[1:]
            else f"case {lacking[0]} is left out"
        )
    if extra:
        return f"case {extra[0]} has a score that no answer gives"
    wrong = [case for case in known if not same(said[case], known[case])]
    return f"case {wrong[0]} has {said[wrong[0]]:g}, and its answers give {known[wrong[0]]:g}" if wrong else ""
