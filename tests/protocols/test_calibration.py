"""Every registered protocol tells the model that knows the answer from the one that does not, and from empty answers.

One table: where the rows of a run on pocket without an edit must stand. A protocol without a line here fails.
"""

from __future__ import annotations

import pytest
from tests.protocols.pocket_answers import first_cases, registry, unedited

from editharness.asking import task_forms
from editharness.data.negated import negated_case
from editharness.documents import case_documents
from editharness.protocol import Answer
from editharness.seeing import forms
from editharness.testing import check_protocol

Bounds = dict[str, tuple[float, float]]
ALL, NONE, ZERO = (0.9, 1.0), (0.0, 0.1), (0.0, 0.0)
"""Near the top; the share of a guess, "Rome" said of everything; nothing at all."""

NOT_TAUGHT = "pocket was taught no complement beyond `not`: its own facts do not decide it (docs/negation_plus.md)"

EXPECTED: dict[str, dict[str, Bounds]] = {
    "negation": {
        "PP": {"none*": ALL, "context": ALL, "none": ZERO, "constant": NONE, "echo": ZERO, "target": (1, 1)},
        "PP-PN": {"none*": ALL, "none": (-0.1, 0.1), "constant": ZERO, "echo": ZERO, "target": ZERO},
        "rectified": {"none*": ALL, "none": (-0.1, 0.1), "constant": ZERO, "echo": ZERO, "target": ZERO},
        "unchanged": {"none": (1, 1), "context": ALL, "constant": NONE, "echo": ZERO, "target": NONE},
    },
    "negation_plus": {
        "PP": {"none*": ALL, "none": ZERO, "target": (1, 1)},
        "complement gap": {"constant": ZERO, "echo": ZERO, "target": ZERO, "always yes": ZERO, "always no": ZERO},
        "question gap": {"none": (-0.1, 0.1), "target": ZERO, "always yes": ZERO, "always no": ZERO},
        "shift PN": {"none": ZERO},
        "right type PN": {"none": (0.2, 1.0), "context": (0.1, 1.0), "echo": ZERO, "target": (1, 1)},
    },
    "negation_masked": {
        "PP": {"none*": ALL, "context": ALL, "none": ZERO, "constant": NONE, "echo": ZERO, "target": (1, 1)},
        "PP-PN": {"none*": ALL, "constant": ZERO, "echo": ZERO, "target": ZERO},
        "all the same": {"constant": (1, 1), "echo": (1, 1), "target": (1, 1), "context": NONE},
    },
    "factcheck": {
        "balanced": {"none*": ALL, "none": (0.0, 0.2), "always true": (0.5, 0.5), "always false": (0.5, 0.5)},
        "balanced 3": {"none*": ALL, "always true": (0.5, 0.5), "always false": (0.5, 0.5), "constant": ZERO},
        "fixed": {"context": ALL, "none": ZERO, "always true": (1, 1), "always false": ZERO, "echo": ZERO},
        "unread": {"none": NONE, "context": NONE, "constant": (1, 1), "echo": (1, 1), "target": (1, 1)},
    },
    "portability": {
        "portability": {"context": (0.6, 1.0), "none": (0.0, 0.2), "constant": NONE, "echo": ZERO, "target": ZERO},
        "efficacy": {"context": ALL, "none": ZERO, "target": (1, 1)},
        "unchanged": {"none": (1, 1), "context": ALL, "constant": NONE, "echo": ZERO, "target": NONE},
        "moved": {"none": ZERO},
    },
    "sequential": {
        name: {"none*": ALL, "context": ALL, "none": ZERO, "constant": NONE, "echo": ZERO, "target": (1, 1)}
        for name in ("final", "free final", "generalization")
    }
    | {
        "kept": {"context": ALL, "none": ZERO, "constant": NONE, "echo": ZERO, "target": NONE},
        "unchanged": {"none": (1, 1), "context": ALL, "target": NONE},
    },
    "wild": {
        "reliability": {"none*": ALL, "context": ALL, "none": ZERO, "constant": NONE, "echo": ZERO, "target": (1, 1)},
        "unchanged": {"none": (1, 1), "context": ALL, "target": NONE},
    },
    "synthetic": {
        "reliability": {"none*": ALL, "context": ALL, "none": (0, 0.2), "echo": ZERO, "target": (1, 1)},
        "all tokens": {"none*": ALL, "context": ALL, "none": ZERO, "target": (1, 1)},
    },
    "modules": {
        name: {"context": ALL, "none": (0, 0.2), "constant": NONE, "echo": ZERO, "target": (1, 1)}
        for name in ("free/forced/length/match", "free/decoded/natural/exact", "guided/decoded/natural/exact")
    },
}  # fmt: skip


def test_every_protocol_is_calibrated() -> None:
    assert set(EXPECTED) == set(registry().protocols), "say where the controls of a new protocol must stand"


@pytest.mark.slow
@pytest.mark.parametrize("protocol", sorted(EXPECTED))
def test_every_control_stands_where_theory_puts_it(protocol: str) -> None:
    """And the ranked column tells the answer from no answer, with all else that the kit asks of a protocol."""
    skip = {"ranked column": NOT_TAUGHT} if protocol == "negation_plus" else {}
    report = check_protocol(registry().protocol(protocol), registry(), expected=EXPECTED[protocol], skip=skip)
    assert not report.findings, str(report)
    assert dict(report.skipped) == skip


def pocket_tasks() -> list[str]:
    """Every task about pocket, a group's members each."""
    files = {name: entry.spec for name, entry in registry().tasks.items() if entry.spec.kind == "task"}
    return [name for name, file in files.items() if file.arguments.get("data") == "pocket"]


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "side"), [(1, "left"), (32, "right")])
def test_batch_size_and_padding_change_no_score_of_any_task(batch_size: int, side: str) -> None:
    cases, tasks = first_cases(3), pocket_tasks()
    plain = unedited(tasks, cases, batch_size=32)
    other = unedited(tasks, cases, batch_size=batch_size, side=side)
    # a declared statement is asked where it is not the prompt with its answer, which in pocket it is
    assert set(tasks) - {a.task for a in plain} == {"factcheck_pocket_statement"}
    assert [key(a) for a in other] == [key(a) for a in plain]
    for one, two in zip(other, plain, strict=True):
        assert one.scores == pytest.approx(two.scores, abs=1e-4), f"{one.task} about {one.case}"


def test_no_question_of_any_task_is_a_wording_that_methods_may_train_on() -> None:
    forms_of, cases = task_forms(registry()), [negated_case(case) or case for case in first_cases(40)]
    for case in cases:
        trained = {prompt for negated in (False, True) for prompt, _ in forms(case, negated=negated)}
        asked = {doc["prompt"] for task in pocket_tasks() for doc in case_documents(case, forms_of[task])}
        assert len(asked) > 10
        assert not trained & asked, case.id


def key(answer: Answer) -> tuple[str, str, int, str | None]:
    return answer.task, answer.case, answer.item, answer.text
