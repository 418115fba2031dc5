"""What the KnowEdit files (WCF, ZsRE) share: probes in groups, each {prompt, ground_truth}.

locality:     Relation_Specificity (another relation of the subject) and Forgetfulness (another answer of the relation)
portability:  Reasoning, Subject_Aliasing, Logical_Generalization
"""

from __future__ import annotations

from collections import Counter

from editharness.data.cases import questions
from editharness.data.records import Record
from editharness.types import Question


def probes(record: Record, name: str, quirks: Counter[str]) -> tuple[Question, ...]:
    """The probes of all groups under `name`, in the file's order; none where the field is missing or empty."""
    if not record.has(name):
        quirks[f"no {name}"] += 1
        return ()
    groups = record.record(name)
    items = [item for group in groups.fields if groups.has(group) for item in groups.records(group)]
    quirks[f"no {name}"] += not items
    return questions([(item.text("prompt"), item.answers("ground_truth")) for item in items], quirks)
