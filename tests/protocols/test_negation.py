"""The negation protocol on answers whose scores theory gives."""

from __future__ import annotations

import pytest

from editharness.protocol import Answer, Answers, Column
from editharness.types import Case, Question, Schedule
from editharness_plugins.protocols.negation import ASK, NEGATED, POSITIVE, Negation

CASES = {
    f"c{i}": Case(
        id=f"c{i}",
        prompt=f"The capital of Kenya{i} is",
        subject=(15, 21),
        target="Rome",
        old="Nairobi",
        neighbours=(Question("The capital of Peru is", "Lima"),),
    )
    for i in range(4)
}
PROTOCOL = Negation()


def said(
    form: str, arm: str, exact: dict[str, float], *, moment: str = "final", text: str | None = None, **more: float
) -> list[Answer]:
    return [Answer(ASK[form], arm, moment, c, 0, {"exact": v, **more}, text) for c, v in exact.items()]  # type: ignore[arg-type]


def columns(row: str, answers: list[Answer]) -> dict[str, Column]:
    return {column.name: column for column in PROTOCOL.summarise(row, Answers(CASES, answers))}


def mean(column: Column) -> float | None:
    return sum(column.values.values()) / len(column.values) if column.values else None


def test_four_columns_come_from_arm_and_question() -> None:
    every = dict.fromkeys(CASES, 1.0)
    half = {c: float(i % 2) for i, c in enumerate(CASES)}
    none = dict.fromkeys(CASES, 0.0)
    made = columns(
        "m",
        [
            *said("prompt", POSITIVE, every),
            *said("negated", POSITIVE, half),
            *said("negated", NEGATED, every),
            *said("prompt", NEGATED, none),
        ],
    )
    assert [mean(made[name]) for name in ("PP", "PN", "NN", "NP")] == [1.0, 0.5, 1.0, 0.0]
    assert [mean(made[name]) for name in ("PP-PN", "PP-NP", "NN-PN", "NN-NP")] == [0.5, 1.0, 0.5, 1.0]
    assert mean(made["rectified"]) == 0.75


def test_rectified_efficacy_is_the_mean_over_the_differences_that_exist() -> None:
    made = columns("m", [*said("prompt", POSITIVE, {"c0": 1.0}), *said("negated", POSITIVE, {"c0": 0.0})])
    assert mean(made["rectified"]) == 1.0
    assert made["PP-NP"].values == {}
    assert made["NN"].values == {}


def test_none_star_is_the_old_answer_over_known_facts_only() -> None:
    answers = [
        Answer(ASK["prompt"], "", "unedited", "c0", 0, {"exact": 0.0, "old_exact": 1.0}),
        Answer(ASK["negated"], "", "unedited", "c0", 0, {"exact": 0.0, "old_exact": 0.0}),
        Answer(ASK["prompt"], "", "unedited", "c1", 0, {"exact": 0.0, "old_exact": 0.0}),
        Answer(ASK["negated"], "", "unedited", "c1", 0, {"exact": 1.0, "old_exact": 1.0}),
    ]
    made = columns("none*", answers)
    assert made["PP"].values == {"c0": 1.0}
    assert made["PN"].values == {"c0": 0.0}
    assert mean(columns("none", answers)["PN"]) == 0.5


def test_unchanged_compares_with_the_unedited_text() -> None:
    before = said("neighbour", "", {"c0": 1.0, "c1": 1.0}, moment="unedited", text=" Lima.")
    after = [
        *said("neighbour", POSITIVE, {"c0": 1.0}, text=" Lima and more"),
        *said("neighbour", POSITIVE, {"c1": 0.0}, text=" Rome"),
    ]
    made = columns("m", [*before, *after])
    assert made["unchanged"].values == {"c0": 1.0, "c1": 0.0}
    assert made["correct"].values == {"c0": 1.0, "c1": 0.0}


def test_the_negated_arm_keeps_the_subject_and_the_target() -> None:
    selection = PROTOCOL.select(CASES.values())
    assert selection.facts["table"] + selection.facts["rule"] == 4
    plain, negated = PROTOCOL.arms(selection.cases).values()
    for one, other in zip(plain, negated, strict=True):
        assert (one.subject_text, one.target, one.id) == (other.subject_text, other.target, other.id)
        assert other.prompt.endswith("is not")
        assert other.negated
        assert not one.negated


def test_a_supplied_negation_wins_and_what_cannot_be_negated_is_counted() -> None:
    supplied = Case("s", "Kenya's seat is", (0, 5), "Rome", negated_prompt="Kenya's seat is never")
    hopeless = Case("h", "Kenya", (0, 5), "Rome")
    selection = PROTOCOL.select([supplied, hopeless])
    assert [case.negated_prompt for case in selection.cases] == ["Kenya's seat is never"]
    assert (selection.facts["supplied"], sum(selection.refused.values())) == (1, 1)


@pytest.mark.parametrize(("schedule", "moments"), [("single", {"final"}), ("batch:10", {"at_edit", "final"})])
def test_edits_that_carry_on_are_also_asked_right_after_the_edit(schedule: str, moments: set[str]) -> None:
    probes = PROTOCOL.probes(Schedule.parse(schedule), ())
    assert {p.moment for p in probes if p.arm} == moments
    assert {p.task for p in probes if not p.arm} == set(ASK.values())


def test_the_hash_is_stable_and_moves_with_the_version() -> None:
    class Next(Negation):
        version = 2

    assert Negation().digest() == Negation().digest() != Next().digest()
