"""Every stored answer is the one answer to a planned question, and all scores follow from these answers.

Null rows are answered again without a model; free texts are scored again; then the protocol makes its columns and
series of the answers, which must be those in scores.jsonl. Likelihoods are taken on trust, but for what the texts say
of them: `--rerun` asks the model again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from editharness.controls import columns_of, rows_of, series_of
from editharness.documents import Document
from editharness.errors import RecordError
from editharness.forms import find_form
from editharness.protocol import Answer
from editharness.scoring import begins, normal
from editharness.store.samples import Sample
from editharness.store.write import SAMPLES
from editharness.verifying.findings import Finding, few
from editharness.verifying.plan import Key, Planned

_SLACK = 1000
"""So many answers beyond the planned ones are read, and no more."""
_TOLERANCE = 1e-9


@dataclass
class Joined:
    """The answers of a plan, found among the stored ones."""

    found: dict[Key, Sample] = field(default_factory=dict)
    null: dict[Key, Sample] = field(default_factory=dict)
    twice: list[str] = field(default_factory=list)
    unplanned: list[str] = field(default_factory=list)


def join(planned: Planned, samples: Iterable[Sample], null_keys: Mapping[Key, Answer]) -> Joined:
    """Sort the stored answers by the question that they answer; RecordError where there are far too many."""
    joined, wanted = Joined(), {key for key, _ in planned.questions()}
    most = len(wanted) + len(null_keys) + _SLACK
    for number, sample in enumerate(samples, 1):
        if number > most:
            raise RecordError(f"more than {most} answers, and this run asks {most - _SLACK} questions")
        key = key_of(sample)
        into = joined.found if key in wanted else joined.null if key in null_keys else None
        if into is None:
            joined.unplanned.append(f"line {number}: {name(key)}")
        elif key in into:
            joined.twice.append(f"line {number}: {name(key)}")
        else:
            into[key] = sample
    return joined


def key_of(sample: Sample) -> Key:
    """The question that a stored answer answers."""
    edits = sample.edits if sample.moment == "checkpoint" else 0
    return (sample.row, sample.task, sample.arm, sample.moment, sample.case, sample.item, edits)


def name(key: Key) -> str:
    """A question in words."""
    row, task, arm, moment, case, item, edits = key
    where = f"after {edits} edits" if edits else moment
    return f"row {row or 'none'}, {task}, case {case}, item {item}, {' '.join(filter(None, (arm, where)))}"


def null_answers(planned: Planned) -> dict[Key, Answer]:
    """What the null rows say to every question, made again."""
    made = rows_of([], planned.asked, planned.asked_cases, tuple(planned.arms), planned.protocol)
    return {
        (row, _task(a, planned), a.arm, a.moment, a.case, a.item, a.edits if a.moment == "checkpoint" else 0): a
        for row, answers in made.items()
        for a in answers
    }


def _task(answer: Answer, planned: Planned) -> str:
    names = {template: task for task, template in planned.asked.templates.items()}
    return names[answer.task]


def check_complete(folder: Path, planned: Planned, joined: Joined, nulls: Mapping[Key, Answer]) -> Iterator[Finding]:
    """Every planned question is answered once; what nobody asked, or asked again, is named."""
    path = folder / SAMPLES
    wanted = [key for key, _ in planned.questions()] + list(nulls)
    missing = (name(key) for key in wanted if key not in joined.found and key not in joined.null)
    kinds: Sequence[tuple[Iterable[str], str]] = (
        (missing, "this question has no answer: none may be left out"),
        (joined.twice, "answered a second time: the first attempt counts, and there is only one"),
        (joined.unplanned, "nobody asked this: the configuration makes no such question"),
    )
    for places, problem in kinds:
        yield from few(Finding("error", path, place, problem) for place in places)


def check_texts_scored(folder: Path, planned: Planned, joined: Joined) -> Iterator[Finding]:
    """Scores of free texts are those that the text has, and likelihoods agree with each other and with the text."""
    path = folder / SAMPLES
    pairs = [(key, joined.found[key], doc) for key, doc in planned.questions() if key in joined.found]
    for level, problem_of in _CHECKS:
        problems = ((key, problem_of(sample, doc)) for key, sample, doc in pairs)
        yield from few(Finding(level, path, name(key), problem) for key, problem in problems if problem)


def _shape_problem(sample: Sample, doc: Document) -> str:
    if sample.kind != doc["kind"]:
        return f"kind is {sample.kind!r}, and the question's is {doc['kind']!r}"
    if find_form(doc["form"]).generates != (sample.text is not None):
        return "a text where none is asked" if sample.text is not None else "the text is missing"
    if any(sample.scores.get(likelihood, 0) > _TOLERANCE for likelihood in ("logprob", "old_logprob")):
        return "a log-likelihood above 0"
    if any(sample.scores.get(exact, 0) not in (0, 1) for exact in ("exact", "old_exact")):
        return "exact match is 0 or 1"
    return ""


def _score_problem(sample: Sample, doc: Document) -> str:
    scores, text = sample.scores, sample.text
    again = {} if text is None else dict(find_form(doc["form"]).score(doc, text))
    if {"logprob", "old_logprob"} <= scores.keys():
        again["new_over_old"] = float(scores["logprob"] > scores["old_logprob"])
    for score, value in again.items():
        if score not in scores or not same(scores[score], value):
            return f"{score} is {scores.get(score)}, and what stands there gives {value:g}"
    return ""


def _exact_problem(sample: Sample, doc: Document) -> str:
    """Where all target tokens are the likeliest ones, the free text says the target, as far as it goes."""
    if (sample.scores.get("match") == 1) > (sample.scores.get("exact", 1) == 1):
        return "every token matches, and exact match is 0"
    for score, answer in (("exact", doc["target"]), ("decoded", doc["target"]), ("old_exact", doc["old"])):
        if sample.text is not None and sample.scores.get(score) == 1:
            said, wanted = normal(sample.text), normal(str(answer))
            if not said or not (said.startswith(wanted) or wanted.startswith(said)):
                return f"{score} is 1, and the greedy text is {sample.text!r}, not {answer!r}"
    return ""


def _unexact_problem(sample: Sample, doc: Document) -> str:
    """The other way round a text may say the target in other tokens, so this is a doubt only."""
    if sample.text is not None and sample.scores.get("exact") == 0 and begins(sample.text, [str(doc["target"])]):
        return f"exact is 0, and the greedy text begins with {doc['target']!r}"
    return ""


_CHECKS: tuple[tuple[Literal["error", "warning"], Callable[[Sample, Document], str]], ...] = (
    ("error", _shape_problem),
    ("error", _score_problem),
    ("error", _exact_problem),
    ("warning", _unexact_problem),
)


def check_nulls(folder: Path, joined: Joined, nulls: Mapping[Key, Answer]) -> Iterator[Finding]:
    """The rows that need no model say and score what they must."""
    path = folder / SAMPLES

    def wrong() -> Iterator[Finding]:
        for key, answer in nulls.items():
            stored = joined.null.get(key)
            if stored is None:
                continue
            if stored.text != answer.text:
                yield Finding("error", path, name(key), f"this control says {answer.text!r}, not {stored.text!r}")
            elif not _alike(stored.scores, answer.scores):
                yield Finding("error", path, name(key), "has other scores than its text gives")

    yield from few(wrong())


def answers_of(planned: Planned, joined: Joined) -> dict[str, list[Answer]]:
    """The answers of every row as the protocol gets them, null rows included."""
    answered = [
        Answer(
            task=planned.asked.templates[key[1]],
            arm=f"{key[0]}/{key[2]}" if key[0] else "",
            moment=key[3],  # type: ignore[arg-type]  # a planned key has a moment of the plan
            case=key[4],
            item=key[5],
            scores=stored.scores,
            text=stored.text,
            edits=int(doc["_edits"]),
            kind=stored.kind,
            forced=stored.forced,
        )
        for key, doc in planned.questions()
        if (stored := joined.found.get(key)) is not None
    ]
    return rows_of(answered, planned.asked, planned.asked_cases, tuple(planned.arms), planned.protocol)


@dataclass(frozen=True)
class Again:
    """What the protocol makes of the answers: by row and name, scores by case and how a cell is called."""

    columns: Mapping[tuple[str, str], Mapping[str, float]]
    titles: Mapping[tuple[str, str], tuple[str, str]]
    points: Mapping[tuple[str, str, int, tuple[int, int] | None], Mapping[str, float]]


def summarise(planned: Planned, answers: Mapping[str, Sequence[Answer]]) -> Again:
    """Columns and series of all rows; whatever a protocol raises over such answers is a RecordError."""
    try:
        columns = columns_of(planned.protocol, answers, planned.asked_cases)
        series = series_of(planned.protocol, answers, planned.asked_cases)
    except Exception as error:  # the protocol's own code, over what a stranger wrote
        raise RecordError(
            f"protocol {planned.protocol.name!r} can make nothing of these answers ({type(error).__name__}: {error})"
        ) from error
    return Again(
        {(row, c.name): c.values for row, made in columns.items() for c in made},
        {(row, c.name): (c.title, c.better) for row, made in columns.items() for c in made},
        {(row, s.name, p.edits, p.cohort): p.values for row, made in series.items() for s in made for p in s.points},
    )


def same(a: float, b: float) -> bool:
    """Equal up to rounding; two that are not finite are equal where they are written alike."""
    return math.isclose(a, b, abs_tol=_TOLERANCE) if math.isfinite(a) and math.isfinite(b) else str(a) == str(b)


def _alike(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
