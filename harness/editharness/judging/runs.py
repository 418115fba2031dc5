"""Judging whole runs: every distinct answer once per judge, verdicts beside each record, all judges read back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from editharness.errors import RecordError
from editharness.judge import Item, Verdict
from editharness.judging.answers import RunAnswers
from editharness.judging.deciding import Bench, Decided
from editharness.store.judgements import (
    Judged,
    Judgements,
    check_name,
    find_judgements,
    read_judgements,
    write_judgements,
)

HUMAN = "human"
"""The kind of judgements that were read from a file of labels."""


@dataclass(frozen=True)
class Stored:
    """The judgements beside one run: those to be shown, and why the others are not, by judge."""

    shown: tuple[Judgements, ...]
    hidden: Mapping[str, str]


def items_of(runs: Sequence[RunAnswers]) -> list[Item]:
    """Every distinct item of these runs, in the order of the runs."""
    return list({given.item.digest: given.item for run in runs for given in run.given}.values())


def judge_runs(
    name: str, bench: Bench, runs: Sequence[RunAnswers], progress: Callable[[int], None] = lambda done: None
) -> Decided:
    """Judge the answers of all runs under the column name `name` and write the verdicts beside each record."""
    for run in runs:
        check_same_kind(run.folder, name, bench.spec.name)
    items = items_of(runs)
    decided = bench.decide(items, progress)
    verdicts = dict(zip((item.digest for item in items), decided.verdicts, strict=False))
    for run in runs:
        write_judgements(
            run.folder,
            Judgements(
                name=name,
                kind=bench.spec.name,
                identity=decided.identity,
                samples=run.samples,
                sanity=decided.sanity.by_kind,
                failed=decided.sanity.failed,
                verdicts=tuple(_judged(run, verdicts)),
                graded=bench.judge.graded,
            ),
        )
    return decided


def write_labels(name: str, runs: Sequence[RunAnswers], labels: Mapping[str, Verdict], source: str) -> int:
    """Write a person's labels (by digest) beside each record that has such answers; returns how many answers."""
    for run in runs:
        check_same_kind(run.folder, name, HUMAN)
    count = 0
    for run in runs:
        verdicts = tuple(_judged(run, labels))
        count += len(verdicts)
        if verdicts:
            write_judgements(run.folder, Judgements(name, HUMAN, {"file": source}, run.samples, verdicts=verdicts))
    return count


def check_same_kind(folder: Path, name: str, kind: str) -> None:
    """Refuse to put one judge's verdicts in the place of another's: one name is one scorer."""
    path = folder / f"judgements-{check_name(name)}.jsonl"
    if path.exists() and (there := read_judgements(path).kind) != kind:
        raise RecordError(f"{path} holds verdicts of {there!r}, not {kind!r}: choose another name, or remove it")


def stored(run: RunAnswers, but: Collection[str] = ()) -> Stored:
    """The verdicts beside a run, `but` those; a judge that failed the battery or judged other answers is not shown."""
    shown, hidden = [], {}
    for path in find_judgements(run.folder):
        made = read_judgements(path)
        if made.name in but:
            continue
        if made.samples != run.samples:
            hidden[made.name] = "judged other answers than those of the record: judge again"
        elif made.failed:
            hidden[made.name] = f"failed the sanity battery: {made.failed}"
        else:
            shown.append(made)
    return Stored(tuple(shown), hidden)


def _judged(run: RunAnswers, verdicts: Mapping[str, Verdict]) -> Iterator[Judged]:
    for given in run.given:
        verdict = verdicts.get(given.item.digest)
        if verdict is not None:
            s = given.sample
            yield Judged(
                s.row, s.task, s.arm, s.moment, s.case, s.item,
                given.item.digest, verdict.label, verdict.reason, verdict.raw, verdict.score,
            )  # fmt: skip
