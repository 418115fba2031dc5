"""Null answers: rows that answer without a model. A metric that ranks one high is broken, and the board shows it.

constant   always the commonest edit target
echo       the prompt, word for word
target     the edit target, whatever is asked
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from editharness.documents import Document
from editharness.forms import find_form
from editharness.plan import Asked
from editharness.protocol import Answer, Answers, Column, EvalProtocol, Row, Series
from editharness.types import Case

NULL_ROWS: tuple[Row, ...] = ("constant", "echo", "target")


def null_texts(
    cases: Sequence[Case], says: Mapping[Row, str] = MappingProxyType({})
) -> dict[Row, Callable[[Document], str]]:
    """What each null row says to a document; `says` are those that a protocol adds, with what they always say."""
    commonest = Counter(case.target for case in cases).most_common(1)[0][0]
    targets = {case.id: case.target for case in cases}
    return {
        "constant": lambda doc: commonest,
        "echo": lambda doc: str(doc["prompt"]),
        "target": lambda doc: targets[str(doc["case_id"])],
        **{row: partial(_always, text) for row, text in says.items()},
    }


def _always(text: str, doc: Document) -> str:
    return text


def null_answers(task: str, docs: Iterable[Document], say: Callable[[Document], str]) -> list[Answer]:
    """The scored answers of one null row to the documents of one task."""
    return [
        Answer(
            task=task,
            arm=str(doc["_arm"]),
            moment=moment,
            case=str(doc["case_id"]),
            item=int(doc["item"]),
            scores=find_form(doc["form"]).null(doc, say(doc)),
            text=say(doc),
            edits=int(doc["_edits"]),
            kind=str(doc["kind"]),
        )
        for doc in docs
        for moment in doc["_moments"]
    ]


def rows_of(
    answered: Sequence[Answer], asked: Asked, cases: Sequence[Case], edited: Sequence[Row], protocol: EvalProtocol
) -> dict[Row, list[Answer]]:
    """Answers per row, each with the unedited ones beside it; null answers are made here, without a model."""
    controls = protocol.controls
    unedited = [a for a in answered if a.moment == "unedited"]
    rows: dict[Row, list[Answer]] = {row: unedited for row in ("none", "none*") if row in controls}
    for row in edited:
        own = [replace(a, arm=a.arm.removeprefix(f"{row}/")) for a in answered if a.arm.startswith(f"{row}/")]
        rows[row] = [*unedited, *own]
    for row, say in null_texts(cases, protocol.says).items():
        if row in controls:
            said = [
                a
                for task, docs in asked.of_row(edited[-1]).items()
                for a in null_answers(asked.templates[task], docs, say)
            ]
            rows[row] = [*unedited, *(replace(a, arm=a.arm.partition("/")[2]) for a in said)]
    return rows


def columns_of(
    protocol: EvalProtocol, answers: Mapping[Row, Sequence[Answer]], cases: Sequence[Case]
) -> dict[Row, tuple[Column, ...]]:
    """The protocol's columns of every row: controls first, in the protocol's order, the method last."""
    order = [*(row for row in protocol.controls if row in answers), *(r for r in answers if r not in protocol.controls)]
    return {row: tuple(protocol.summarise(row, _joined(answers[row], cases))) for row in order}


def series_of(
    protocol: EvalProtocol, answers: Mapping[Row, Sequence[Answer]], cases: Sequence[Case]
) -> dict[Row, tuple[Series, ...]]:
    """The protocol's series of every row that has some."""
    found = {row: tuple(protocol.series(row, _joined(own, cases))) for row, own in answers.items()}
    return {row: series for row, series in found.items() if series}


def _joined(answers: Sequence[Answer], cases: Sequence[Case]) -> Answers:
    places = {case.id: place for place, case in enumerate(cases, start=1)}
    return Answers({case.id: case for case in cases}, answers, places)
