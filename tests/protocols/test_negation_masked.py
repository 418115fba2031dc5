"""Calibration of negation_masked: columns by arm and question, the real files, a real run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.protocol import Answer, Answers, Moment
from editharness.types import Case, Question, Schedule
from editharness_plugins.datasets import mcf, mquake, wcf, zsre
from editharness_plugins.protocols.negation import ASK
from editharness_plugins.protocols.negation_masked import ARMS, GAPS, QUESTIONS, SIX, NegationMasked, masked_prompts

PROTOCOL = NegationMasked()
CASES = {
    f"c{i}": Case(
        f"c{i}", f"The capital of K{i} is", (15, 17), "Rome", "Oslo",
        neighbours=(Question("The capital of Peru is", "Lima"),),
    )
    for i in range(2)
}  # fmt: skip


def said(task: str, arm: str, value: float, *, moment: Moment = "final", old: float = 0.0) -> list[Answer]:
    scores = {"exact": value, "old_exact": old, "contained": value, "new_over_old": value}
    return [Answer(task, arm, moment, case, 0, scores) for case in CASES]


def means(row: str, given: list[Answer]) -> dict[str, float | None]:
    made = PROTOCOL.summarise(row, Answers(CASES, given))
    return {c.name: sum(c.values.values()) / len(c.values) if c.values else None for c in made}


def test_the_masked_prompt_ends_with_its_subject() -> None:
    assert [(ask.prompt, ask.target, ask.old) for ask in masked_prompts(CASES["c0"])] == [
        ("The capital of K0", "Rome", "Oslo")
    ]
    assert list(masked_prompts(Case("c", "The capital of K", (15, 16), "Rome"))) == []


def test_the_masked_arm_writes_the_same_targets_at_the_same_subjects() -> None:
    plain, masked = PROTOCOL.arms(PROTOCOL.select(CASES.values()).cases).values()
    for one, other in zip(plain, masked, strict=True):
        assert (one.id, one.subject, one.subject_text, one.target) == (
            other.id, other.subject, other.subject_text, other.target,
        )  # fmt: skip
        assert other.prompt == one.prompt.removesuffix(" is")


def test_each_column_is_its_arm_and_its_question() -> None:
    wanted = {"PP": 1.0, "PN": 0.0, "PM": 1.0, "MP": 0.0, "MN": 1.0, "MM": 0.0}
    given = [a for name, value in wanted.items() for a in said(QUESTIONS[name[1]], ARMS[name[0]], value)]
    made = means("m", given)
    assert {name: made[name] for name in SIX} == wanted
    assert [made[f"{a}-{b}"] for a, b in GAPS] == [wanted[a] - wanted[b] for a, b in GAPS]
    assert {name: made[f"prob {name}"] for name in SIX} == wanted
    assert (made["PM contained"], made["MM contained"], made["all the same"]) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("always", [0.0, 1.0])
def test_an_answer_that_heeds_no_supportive_word_has_no_gap(always: float) -> None:
    made = means("m", [a for name in SIX for a in said(QUESTIONS[name[1]], ARMS[name[0]], always)])
    assert {made[f"{a}-{b}"] for a, b in GAPS} == {0.0}
    assert made["all the same"] == 1.0


def test_unedited_rows_have_no_masked_edit() -> None:
    given = [
        *said(QUESTIONS["P"], "", 0.0, moment="unedited", old=1.0),
        *said(QUESTIONS["N"], "", 0.0, moment="unedited"),
        *said(QUESTIONS["M"], "", 0.0, moment="unedited"),
    ]
    known = means("none*", given)
    assert (known["PP"], known["PN"], known["PM"], known["PP-PN"], known["PP-PM"]) == (1.0, 0.0, 0.0, 1.0, 1.0)
    assert known["MM"] is None
    assert means("none", given)["PP"] == 0.0


def test_locality_is_that_of_the_arm() -> None:
    near = [("", "unedited", " Lima"), ("positive", "final", " Lima"), ("masked", "final", " Rome")]
    given = [Answer(ASK["neighbour"], arm, when, "c0", 0, {}, text) for arm, when, text in near]  # type: ignore[arg-type]
    made = means("m", given)
    assert (made["unchanged"], made["unchanged, masked"]) == (1.0, 0.0)


def test_both_arms_are_asked_all_three_questions() -> None:
    probes = PROTOCOL.probes(Schedule.parse("single"), ())
    for arm in ("positive", "masked", ""):
        assert {p.task for p in probes if p.arm == arm} == {*QUESTIONS.values(), ASK["neighbour"]}


def test_what_cannot_be_masked_is_counted() -> None:
    question = Case("q", "What is the capital of K?", (23, 24), "Rome", question="What is the capital of K?")
    last = Case("l", "Not in K", (7, 8), "Rome")
    chosen = PROTOCOL.select([*CASES.values(), question, last])
    assert len(chosen.cases) == 2
    assert chosen.refused == {"the prompt is a question": 1, "no word between subject and answer": 1}
    assert chosen.facts == {"negation masks to the same text": 2}


def test_every_column_is_defined_and_the_hash_moves_with_the_version() -> None:
    class Next(NegationMasked):
        version = 2

    given = [a for name in SIX for a in said(QUESTIONS[name[1]], ARMS[name[0]], 1.0)]
    assert set(means("m", given)) == set(NegationMasked.glossary)
    assert NegationMasked().digest() != Next().digest()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("load", "file"),
    [
        (mcf.load, "counterfact/counterfact-edit.json"),
        (zsre.load_cloze, "zsre/ZsRE-test-all.json"),
        (wcf.load, "wcf/train_cf.json"),
        (mquake.load, "mquake/mquake_edits_rebuilt_with_true.json"),
    ],
)
def test_on_real_files_every_masked_edit_still_ends_with_its_subject(reference: Path, load: object, file: str) -> None:
    cases = load(reference / "data" / file).cases[:400]  # type: ignore[operator]
    chosen = PROTOCOL.select(cases)
    assert len(chosen.cases) + sum(chosen.refused.values()) == len(cases)
    assert len(chosen.cases) > 0.95 * len(cases)
    assert chosen.facts["negation masks to the same text"] > 0.9 * len(chosen.cases)
    _, masked = PROTOCOL.arms(chosen.cases).values()
    assert all(edit.prompt.endswith(edit.subject_text) for edit in masked)


@pytest.mark.slow
def test_on_pocket_every_control_stands_where_theory_puts_it(tmp_path: Path) -> None:
    words = ["eval", "--method", "memit", "--task", "negation_masked_pocket", "--edits", "10", "--schedule", "batch:5"]
    assert main([*words, "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*/record.json")
    rows = {r["row"]: {c["name"]: c["value"] for c in r["columns"]} for r in json.loads(path.read_text())["rows"]}
    for null in ("constant", "echo", "target"):
        assert {rows[null][f"{a}-{b}"] for a, b in GAPS} == {0.0}
        assert rows[null]["all the same"] == 1.0
    assert rows["target"]["PN"] == rows["target"]["MM"] == 1.0
    assert rows["none"]["PP"] < 0.1
    assert rows["none*"]["PP-PN"] > 0.9
    assert rows["context"]["PM contained"] > 0.5 > rows["context"]["PM"]  # "... is Rome": the word comes first
    assert rows["memit"]["PP"] > 0.7
    assert rows["memit"]["MM"] > 0.5 > rows["memit"]["PM"]  # each edit is said where it was written
