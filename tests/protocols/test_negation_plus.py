"""Calibration of negation_plus: answerers whose scores theory gives, the real files, a real run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.controls import null_answers
from editharness.data.complements import coverage
from editharness.documents import Document, case_documents
from editharness.forms import find_form
from editharness.protocol import Answer, Answers, Moment
from editharness.registry import load_plugins
from editharness.types import Case, Schedule
from editharness_plugins.datasets import mcf, mquake, wcf, zsre
from editharness_plugins.protocols.complement_columns import ARMS, PLAIN
from editharness_plugins.protocols.complement_forms import AFFIRMED, IN_MEAN, OLD_TASK, TASKS, YES_NO
from editharness_plugins.protocols.negation_plus import NegationPlus

PROTOCOL = NegationPlus()
CASES = {
    name: Case(
        name, f"The capital of {name} is", (15, 15 + len(name)), target, old,
        question=f"What is the capital of {name}?", statement=f"The capital of {name} is {{}}",
    )
    for name, target, old in (("Kenya", "Rome", "Nairobi"), ("Peru", "Oslo", "Lima"), ("Cuba", "Delhi", "Havana"))
}  # fmt: skip
Say = Callable[[Document], str]


def forms(data: str = "pocket") -> dict[str, str]:
    """Task template -> the form that its YAML names."""
    tasks = load_plugins().tasks
    templates = (*PLAIN.values(), *TASKS.values(), OLD_TASK)
    return {t: str(tasks[t.format(data=data)].spec.arguments["form"]) for t in templates}


def documents(moment: Moment, arm: str) -> Iterator[tuple[str, Document]]:
    for task, form in forms().items():
        if moment == "unedited" or task != OLD_TASK:
            for case in PROTOCOL.select(CASES.values()).cases:
                yield from ((task, doc) for doc in case_documents(case, form, arm=arm, moments=[moment]))


def answers(say: Say, moment: Moment, arm: str = "") -> list[Answer]:
    """What one answerer says to every question, scored as a null row is."""
    return [answer for task, doc in documents(moment, arm) for answer in null_answers(task, [doc], say)]


def means(row: str, given: list[Answer]) -> dict[str, float | None]:
    made = PROTOCOL.summarise(row, Answers(CASES, given))
    return {c.name: sum(c.values.values()) / len(c.values) if c.values else None for c in made}


def affirms(doc: Document) -> bool:
    """Whether the prompt affirms; a plain or negated prompt has no kind."""
    return doc["kind"] == AFFIRMED if doc["kind"] else not doc["prompt"].endswith("not")


def understands(doc: Document) -> str:
    """The edited fact, understood: the target where it is affirmed, another answer where it is denied."""
    return str(doc["target"] if affirms(doc) else doc["old"])


def before(doc: Document) -> str:
    """The old facts, understood, by a model that nobody edited."""
    case = CASES[doc["case_id"]]
    if doc["target"] == "yes":
        return "no" if affirms(doc) else "yes"
    return case.old if affirms(doc) else "Bern"


UNEDITED = answers(before, "unedited")
GAPS = ("complement gap", *(f"{kind.replace('_', ' ')} gap" for kind in TASKS))


def test_a_model_that_understands_the_edit_stands_at_the_top() -> None:
    made = means("m", [*UNEDITED, *answers(understands, "final", "positive")])
    assert {made[name] for name in (*GAPS, "affirmed", "PP", "PP-PN")} == {1.0}
    assert (made["denied"], made["contained"], made["contradictory unread"]) == (0.0, 0.0, 0.0)


def test_before_the_edit_the_new_answer_scores_nothing_and_the_old_one_everything() -> None:
    none, known = means("none", UNEDITED), means("none*", UNEDITED)
    assert {none[name] for name in ("affirmed", "denied", "complement gap", "PP", "PN")} == {0.0}
    assert none["contradictory gap"] == -1.0  # the opposite of the edit is what the unedited model believes
    assert {known[name] for name in (*GAPS, "affirmed", "PP", "PP-PN")} == {1.0}
    assert {known[name] for name in ("denied", "contradictory denied")} == {0.0}


@pytest.mark.parametrize(
    ("says", "old", "typed"),
    [("Oslo", 0.0, 1.0), ("Nairobi", 1 / 3, 1.0), ("", 0.0, 0.0), ("green", 0.0, 0.0)],
    ids=["another capital", "the old answer of one", "mute", "no capital"],
)
def test_a_mute_model_is_told_from_one_that_denies(says: str, old: float, typed: float) -> None:
    """Neither says the target under "not": only the share of answers of the right type tells them apart."""
    named = {name: replace(case, relation="capital") for name, case in CASES.items()}
    given = [
        *UNEDITED,
        *answers(lambda doc: CASES[doc["case_id"]].target if affirms(doc) else says, "final", "positive"),
    ]
    made = {c.name: c.values for c in PROTOCOL.summarise("m", Answers(named, given))}
    assert set(made["PN"].values()) == ({0.0} if says != "Oslo" else {0.0, 1.0})
    assert sum(made["old PN"].values()) / 3 == pytest.approx(old)
    assert sum(made["right type PN"].values()) / 3 == typed
    without = {c.name: c.values for c in PROTOCOL.summarise("m", Answers(CASES, given))}
    assert without["right type PN"] == {}, "no relation is named: not known, not zero"


def test_none_star_counts_known_facts_only() -> None:
    ignorant = [replace(a, scores={**a.scores, "old_exact": 0.0}) if a.case == "Peru" else a for a in UNEDITED]
    made = {c.name: c.values for c in PROTOCOL.summarise("none*", Answers(CASES, ignorant))}
    assert set(made["complement gap"]) == set(made["contradictory affirmed"]) == {"Kenya", "Cuba"}


@pytest.mark.parametrize(
    ("say", "affirmed", "yes"),
    [
        (lambda doc: CASES[doc["case_id"]].target, 1.0, 0.0),  # the target, whatever is asked
        (lambda doc: str(doc["prompt"]), 0.0, 0.0),  # the prompt, word for word
        (lambda doc: "", 0.0, 0.0),  # nothing: mute
        (lambda doc: "yes", 0.0, 1.0),
        (lambda doc: "no", 0.0, 0.0),
    ],
    ids=["target", "echo", "mute", "always yes", "always no"],
)
def test_an_answer_that_does_not_heed_the_question_has_no_gap(say: Say, affirmed: float, yes: float) -> None:
    made = means("m", [*UNEDITED, *answers(say, "final", "positive")])
    assert {made[name] for name in (*GAPS, "PP-PN")} == {0.0}
    assert made["affirmed"] == made["denied"] == affirmed
    assert made["contradictory affirmed"] == made["contradictory denied"] == yes


def likely(task: str, arm: str, moment: Moment, kind: str, new: float, old: float) -> Answer:
    scores = {"exact": 0.0, "logprob": math.log(new), "old_logprob": math.log(old), "old_exact": 1.0}
    return Answer(task, arm, moment, "Kenya", 0, scores, kind=kind)


def test_probability_versions_and_shifts_are_those_of_arm_and_question() -> None:
    told = [
        likely(PLAIN["P"], "", "unedited", "", 0.1, 0.8),
        likely(PLAIN["N"], "", "unedited", "", 0.2, 0.1),
        likely(PLAIN["P"], ARMS["P"], "final", "", 0.9, 0.05),
        likely(PLAIN["N"], ARMS["P"], "final", "", 0.6, 0.7),
        likely(PLAIN["N"], ARMS["N"], "final", "", 0.5, 0.1),
        likely(PLAIN["P"], ARMS["N"], "final", "", 0.3, 0.6),
    ]
    made = means("m", told)
    assert [made[f"prob {name}"] for name in ("PP", "PN", "NN", "NP")] == [1.0, 0.0, 1.0, 0.0]
    assert [made[f"shift {name}"] for name in ("PP", "PN", "NN", "NP")] == pytest.approx([0.8, 0.4, 0.3, 0.2])
    assert (means("none", told)["prob PP"], means("none", told)["shift PN"]) == (0.0, 0.0)
    assert (means("none*", told)["prob PP"], means("none*", told)["prob PN"]) == (1.0, 0.0)


def test_likelihoods_under_a_pair_are_compared() -> None:
    task = TASKS["never"]
    told = [
        likely(task, ARMS["P"], "final", "affirmed", 0.6, 0.1),
        likely(task, ARMS["P"], "final", "denied", 0.2, 0.5),
    ]
    made = means("m", told)
    assert (made["never less likely"], made["never prob gap"], made["prob affirmed"], made["prob denied"]) == (
        1,
        1,
        1,
        0,
    )
    assert made["less likely"] == 1.0


def test_contradictory_pairs_have_no_share_in_the_mean() -> None:
    confused = [
        replace(a, scores={**a.scores, "yes": 1.0 - a.scores["yes"]}) if a.task == TASKS[YES_NO] else a
        for a in answers(understands, "final", "positive")
    ]
    made = means("m", confused)
    assert (made["complement gap"], made["contradictory gap"]) == (1.0, -1.0)
    assert YES_NO not in IN_MEAN


def test_every_column_is_defined_and_every_definition_has_its_column() -> None:
    made = set(means("m", answers(understands, "final", "positive")))
    assert made == set(NegationPlus.glossary)


def test_pairs_are_asked_of_the_positive_arm_and_the_negated_one_gets_two_questions() -> None:
    probes = PROTOCOL.probes(Schedule.parse("batch:10"), (10,))
    assert {p.task for p in probes if p.arm == "negated"} == set(PLAIN.values())
    assert {p.task for p in probes if not p.arm} == {*PLAIN.values(), *TASKS.values(), OLD_TASK}
    assert {p.moment for p in probes if p.arm == "positive"} == {"final", "checkpoint"}


def test_the_hash_holds_what_the_rules_make_of_an_example() -> None:
    class Next(NegationPlus):
        version = NegationPlus.version + 1

    assert NegationPlus().digest() == NegationPlus().digest() != Next().digest()
    assert all(NegationPlus().hashed()["example"].values())


def test_a_case_with_no_pair_is_refused_and_counted() -> None:
    chosen = PROTOCOL.select([*CASES.values(), Case("bare", "Kenya", (0, 5), "Rome")])
    assert [case.id for case in chosen.cases] == list(CASES)
    assert sum(chosen.refused.values()) == 1
    assert chosen.facts == {**dict.fromkeys(TASKS, 3)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "load", "file"),
    [
        ("mcf", mcf.load, "counterfact/counterfact-edit.json"),
        ("zsre_cloze", zsre.load_cloze, "zsre/ZsRE-test-all.json"),
        ("wcf", wcf.load, "wcf/train_cf.json"),
        ("mquake", mquake.load, "mquake/mquake_edits_rebuilt_with_true.json"),
    ],
)
def test_on_real_files_all_that_can_be_made_is_asked(reference: Path, data: str, load: object, file: str) -> None:
    cases = load(reference / "data" / file).cases[:400]  # type: ignore[operator]
    chosen = PROTOCOL.select(cases)
    assert len(chosen.cases) + sum(chosen.refused.values()) == len(cases)
    assert len(chosen.cases) > 0.98 * len(cases)
    assert {kind: chosen.facts[kind] for kind in TASKS if kind != "question"} == {
        kind: counts["made"] for kind, counts in coverage(chosen.cases).items()
    }
    named = [find_form(form) for form in forms(data).values()]
    for case in chosen.cases[:100]:
        for form in named:
            for ask in form.asks(case):
                assert ask.target
                assert case.subject_text in ask.prompt
                assert ask.prompt == ask.prompt.strip()


@pytest.mark.slow
def test_on_pocket_every_control_stands_where_theory_puts_it(tmp_path: Path) -> None:
    words = ["eval", "--method", "memit", "--task", "negation_plus_pocket", "--edits", "10", "--schedule", "batch:5"]
    assert main([*words, "--output", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*/record.json")
    record = json.loads(path.read_text())
    rows = {row["row"]: {c["name"]: c["value"] for c in row["columns"]} for row in record["rows"]}
    for null in ("constant", "echo", "target", "always yes", "always no"):
        assert {rows[null][name] for name in (*GAPS, "PP-PN")} == {0.0}
    assert rows["target"]["affirmed"] == rows["target"]["denied"] == 1.0
    assert rows["always yes"]["contradictory affirmed"] == rows["always yes"]["contradictory denied"] == 1.0
    assert rows["none"]["affirmed"] < 0.1
    assert rows["none"]["shift PN"] == rows["none"]["shift PP"] == 0.0
    assert rows["none*"]["PP-PN"] > 0.9  # pocket was taught "not" ...
    assert rows["none*"]["question denied"] > 0.9  # ... but no negated question,
    assert rows["none*"]["contradictory unread"] == 1.0  # nor to answer yes or no: the row says so
    assert rows["memit"]["prob PP"] > rows["none"]["prob PP"]
    assert rows["memit"]["shift PP"] > 0.5
    assert record["protocol"]["ranked_by"] == "complement gap"
