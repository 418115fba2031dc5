"""Life under sequential edits on answers whose scores theory gives, and on answers that real nulls give."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from editharness.controls import columns_of, rows_of
from editharness.data.load import load_cases
from editharness.documents import case_documents
from editharness.forms import find_form
from editharness.plan import Checkpoints, layout, plan_documents
from editharness.protocol import Answer, Answers, Moment, Series
from editharness.registry import load_plugins
from editharness.types import Case, Question, Schedule
from editharness_plugins.protocols.sequential import ARM, ASK, Sequential, read_freely

PROTOCOL = Sequential()
CASES = {
    f"c{i}": Case(
        f"c{i}", f"The capital of Kenya{i} is", (15, 21), "Rome", "Nairobi",
        question=f"What is the capital of Kenya{i}?", paraphrases=(f"Kenya{i} is ruled from",),
        neighbours=(Question("The capital of Peru is", "Lima"),),
    )
    for i in range(6)
}  # fmt: skip
PLACES = {case: i + 1 for i, case in enumerate(CASES)}


def said(form: str, moment: Moment, values: Mapping[str, float], *, edits: int = 0, text: str = "") -> list[Answer]:
    score = "free" if form == "free" else "exact"
    arm = "" if moment == "unedited" else ARM
    return [Answer(ASK[form], arm, moment, c, 0, {score: v}, text or None, edits) for c, v in values.items()]


def means(row: str, answers: list[Answer]) -> dict[str, float | None]:
    found = PROTOCOL.summarise(row, Answers(CASES, answers, PLACES))
    return {c.name: sum(c.values.values()) / len(c.values) if c.values else None for c in found}


EVERY, NONE = dict.fromkeys(CASES, 1.0), dict.fromkeys(CASES, 0.0)
HALF = {case: float(i % 2) for i, case in enumerate(CASES)}


def test_what_was_there_at_edit_and_is_gone_at_the_end_is_forgotten() -> None:
    answers = [*said("exact", "at_edit", EVERY), *said("exact", "final", HALF)]
    answers += [*said("free", "at_edit", HALF), *said("free", "final", NONE)]
    made = means("m", answers)
    assert (made["at edit"], made["final"], made["forgetting"]) == (1.0, 0.5, 0.5)
    assert (made["free at edit"], made["free final"], made["free forgetting"]) == (0.5, 0.0, 0.5)


def test_what_later_edits_repair_is_forgotten_negatively() -> None:
    assert means("m", [*said("exact", "at_edit", NONE), *said("exact", "final", EVERY)])["forgetting"] == -1.0


def test_kept_needs_the_fact_and_its_neighbour() -> None:
    answers = [
        *said("exact", "final", EVERY),
        *said("neighbour", "unedited", EVERY, text=" Lima."),
        *said("neighbour", "final", {"c0": 1.0, "c1": 1.0}, text=" Lima as ever"),
        *said("neighbour", "final", {"c2": 0.0, "c3": 0.0}, text=" Rome"),
    ]
    made = means("m", answers)
    assert (made["final"], made["unchanged"], made["correct"], made["kept"]) == (1.0, 0.5, 0.5, 0.5)


def test_the_retention_matrix_has_each_cohort_from_its_own_checkpoint_on() -> None:
    first = {"c0": 1.0, "c1": 1.0}
    later = {"c0": 0.0, "c1": 1.0, "c2": 1.0, "c3": 1.0, "c4": 1.0, "c5": 0.0}
    answers = [
        *said("exact", "checkpoint", first, edits=2),
        *said("exact", "checkpoint", later, edits=6),
        *said("free", "checkpoint", {"c0": 1.0, "c5": 0.0}, edits=6),
    ]
    found: dict[str, Series] = {s.name: s for s in PROTOCOL.series("m", Answers(CASES, answers, PLACES))}
    assert set(found) == {"efficacy", "free", "retention", "free retention"}  # nothing is shown that nobody was asked
    points = {(p.edits, p.cohort): sum(p.values.values()) / len(p.values) for p in found["retention"].points}
    assert points == {(2, (1, 2)): 1.0, (6, (1, 2)): 0.5, (6, (3, 6)): 0.75}
    assert [(p.edits, len(p.values)) for p in found["efficacy"].points] == [(2, 2), (6, 6)]


def test_controls_and_schedules_without_checkpoints_have_no_series() -> None:
    answers = Answers(CASES, said("exact", "checkpoint", EVERY, edits=6), PLACES)
    assert PROTOCOL.series("target", answers) == ()
    assert PROTOCOL.series("m", Answers(CASES, said("exact", "final", EVERY), PLACES)) == ()


@pytest.mark.parametrize(
    ("ends", "asked"),
    [(range(1, 501), [10, 100, 500]), (range(50, 501, 50), [100, 500]), ([7, 8], [8]), (range(10, 101, 10), [10, 100])],
    ids=str,
)
def test_without_checkpoints_powers_of_ten_and_the_end_are_asked(ends: list[int], asked: list[int]) -> None:
    assert list(PROTOCOL.checkpoints(ends)) == asked


@pytest.mark.parametrize(("schedule", "moments"), [("single", {"final"}), ("batch:2", {"at_edit", "final"})])
def test_only_edits_that_carry_on_are_asked_right_after_the_edit(schedule: str, moments: set[str]) -> None:
    assert {p.moment for p in PROTOCOL.probes(Schedule.parse(schedule), ()) if p.arm} == moments


def test_every_column_is_defined_and_nothing_else() -> None:
    assert set(means("m", [])) == set(PROTOCOL.glossary)


@pytest.mark.parametrize(
    ("text", "free"), [("Rome", 1.0), ("It is rome, of course", 1.0), ("Romeo", 0.0), ("Nairobi", 0.0), ("", 0.0)]
)
def test_a_free_answer_is_read_for_whole_words(text: str, free: float) -> None:
    doc = {"target": "Rome", "old": "Nairobi", "aliases": [], "old_aliases": []}
    assert read_freely(doc, text) == {"free": free, "old_free": float(text == "Nairobi")}


def test_a_question_as_prompt_is_asked_freely_and_a_case_without_one_is_counted() -> None:
    form = "editharness_plugins.protocols.sequential:FREE"
    asked = Case("q", "Who founded Rome?", (12, 16), "Romulus")
    plain = Case("p", "Rome was founded by", (0, 4), "Romulus")
    (doc,) = case_documents(asked, form)
    assert doc["prompt"] == "Please answer the question:\n\nQ: Who founded Rome?\nA:"
    assert case_documents(plain, form) == []
    assert PROTOCOL.select([asked, plain]).facts == {"with a question": 1, "without a question": 1}


def test_null_rows_stand_where_theory_puts_them() -> None:
    """On the packaged data: the target is always right and never local, an echo says nothing, a constant its share."""
    registry = load_plugins()
    cases = tuple(c for c in load_cases(registry, "pocket", None).cases if c.split == "test")[:200]
    forms = {
        f"sequential_pocket_{name.lower()}": f"editharness_plugins.protocols.sequential:{name}"
        for name in ("EXACT", "FREE", "PARAPHRASE", "NEIGHBOUR")
    }
    schedule, checkpoints = Schedule.parse("batch:50"), Checkpoints((50, 200))
    arm = layout(f"m/{ARM}", [case.id for case in cases], schedule)
    asked = plan_documents(
        PROTOCOL.probes(schedule, checkpoints.at), "pocket", cases, {"m": {ARM: arm}}, forms, checkpoints=checkpoints
    )
    unedited = [
        Answer(asked.templates[task], "", "unedited", doc["case_id"], 0, {}, doc["target"])
        for task, docs in asked.documents.items()
        for doc in docs
        if "unedited" in doc["_moments"]
    ]
    made = columns_of(PROTOCOL, rows_of(unedited, asked, cases, ("m",), PROTOCOL), cases)
    scores = {
        row: {c.name: sum(c.values.values()) / len(c.values) for c in columns if c.values}
        for row, columns in made.items()
    }
    share = max(sum(c.target == t for c in cases) for t in {c.target for c in cases}) / len(cases)
    assert all(scores["target"][name] == 1.0 for name in ("at edit", "final", "free final", "generalization"))
    assert all(scores["echo"][name] == 0.0 for name in ("at edit", "final", "free final", "generalization", "kept"))
    assert scores["constant"]["final"] == pytest.approx(share)
    assert share <= scores["constant"]["free final"] < 0.1
    assert all(scores[row]["forgetting"] == 0.0 for row in ("target", "echo", "constant"))
    # no null answer is ranked above a method that writes facts and leaves others alone
    assert max(scores[row]["kept"] for row in ("target", "echo", "constant")) < 0.05


def test_forms_ask_one_paraphrase_and_one_neighbour() -> None:
    case = CASES["c0"]
    for name, prompt in (("PARAPHRASE", case.paraphrases[0]), ("NEIGHBOUR", case.neighbours[0].prompt)):
        (ask,) = find_form(f"editharness_plugins.protocols.sequential:{name}").asks(case)
        assert ask.prompt == prompt


def test_the_hash_moves_with_the_version() -> None:
    class Next(Sequential):
        version = 2

    assert Sequential().digest() == Sequential().digest() != Next().digest()
