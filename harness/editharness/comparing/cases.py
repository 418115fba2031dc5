"""The cases whose score changed from one run to the other, and what was said on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from editharness.comparing.side import Side
from editharness.errors import EditHarnessError
from editharness.store.samples import Sample, read_samples
from editharness.verifying.config import read_config
from editharness.verifying.here import Here
from editharness.verifying.plan import plan_again

Question = tuple[str, str, str, int, int]
"""What was asked of a case: task, arm, moment, item, edits at a checkpoint."""


@dataclass(frozen=True)
class Said:
    """One question about a case with both answers. `prompt` is "" where the data is not at hand."""

    task: str
    arm: str
    moment: str
    prompt: str
    expected: str
    a: str | None
    b: str | None


@dataclass(frozen=True)
class Changed:
    """A case with its scores in the column on both sides, and the questions that were answered otherwise."""

    case: str
    subject: str
    a: float
    b: float
    said: tuple[Said, ...]


def changed_cases(a: Side, b: Side, column: str, most: int, here: Here) -> list[Changed]:
    """At most `most` cases whose score in `column` differs, the largest differences first."""
    mine, yours = a.values(column)[0], b.values(column)[0]
    common = [case for case in mine if case in yours and mine[case] != yours[case]]
    chosen = sorted(common, key=lambda case: -abs(yours[case] - mine[case]))[:most]
    left, right = _answers(a, set(chosen)), _answers(b, set(chosen))
    prompts = _prompts(a, here)
    return [
        Changed(
            case, a.scores.clusters.get(case, ""), mine[case], yours[case],
            tuple(_said(left.get(case, {}), right.get(case, {}), prompts, case)),
        )
        for case in chosen
    ]  # fmt: skip


def _said(
    left: Mapping[Question, Sample],
    right: Mapping[Question, Sample],
    prompts: Mapping[object, tuple[str, str]],
    case: str,
) -> Iterator[Said]:
    for question, one in left.items():
        other = right.get(question)
        if other is not None and (one.text, one.scores.get("exact")) != (other.text, other.scores.get("exact")):
            task, arm, moment, item, _ = question
            prompt, expected = prompts.get((task, case, item), ("", ""))
            yield Said(task, arm, moment, prompt, expected, one.text, other.text)


def _answers(side: Side, cases: set[str]) -> dict[str, dict[Question, Sample]]:
    """The answers of the row about these cases; unedited ones are the same on both sides unless the models differ."""
    found: dict[str, dict[Question, Sample]] = {}
    for sample in read_samples(side.path.parent):
        if sample.row == side.row and sample.case in cases:
            question = (sample.task, sample.arm, sample.moment, sample.item, sample.edits)
            found.setdefault(sample.case, {})[question] = sample
    return found


def _prompts(side: Side, here: Here) -> dict[object, tuple[str, str]]:
    """(task, case, item) -> prompt and expected answer; nothing where data or plugins are not here."""
    try:
        config = read_config(side.record.config.resolved)
        planned = plan_again(side.record, config, list(side.scores.clusters), here)
    except EditHarnessError:
        return {}
    docs: Sequence[tuple[str, Mapping[str, object]]] = [
        (task, doc) for task, found in planned.asked.documents.items() for doc in found
    ]
    return {(task, doc["case_id"], doc["item"]): (str(doc["prompt"]), str(doc["target"])) for task, doc in docs}
