"""Null answers: rows that answer without a model. A metric that ranks one high is broken, and the board shows it.

constant   always the commonest edit target
echo       the prompt, word for word
target     the edit target, whatever is asked
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from editharness.documents import Document
from editharness.protocol import Answer, Row
from editharness.scoring import score_constant
from editharness.types import Case

NULL_ROWS: tuple[Row, ...] = ("constant", "echo", "target")


def null_texts(cases: Sequence[Case]) -> dict[Row, Callable[[Document], str]]:
    """What each null row says to a document."""
    commonest = Counter(case.target for case in cases).most_common(1)[0][0]
    targets = {case.id: case.target for case in cases}
    return {
        "constant": lambda doc: commonest,
        "echo": lambda doc: str(doc["prompt"]),
        "target": lambda doc: targets[str(doc["case_id"])],
    }


def null_answers(task: str, docs: Iterable[Document], say: Callable[[Document], str]) -> list[Answer]:
    """The scored answers of one null row to the documents of one task."""
    return [
        Answer(
            task=task,
            arm=str(doc["_arm"]),
            moment=moment,
            case=str(doc["case_id"]),
            item=int(doc["item"]),
            scores=score_constant(doc, say(doc)),
            text=say(doc),
        )
        for doc in docs
        for moment in doc["_moments"]
    ]
