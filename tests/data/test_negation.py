from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.data.negation import Negation, negate, negate_by_rule, negate_question
from editharness.data.templates import NEGATED_TEMPLATES, NEGATIONS, read_rows
from editharness.types import Span
from editharness_plugins.datasets import mcf, mquake, qaedit, wcf, zsre

NAME = "Ada Lovelace"


def filled(template: str, name: str = NAME) -> tuple[str, Span]:
    at = template.index("{}")
    return template[:at] + name + template[at + 2 :], (at, at + len(name))


def by_rule(template: str) -> str | None:
    made = negate_by_rule(*filled(template))
    return None if made is None else made.prompt.replace(NAME, "{}")


def asked(template: str) -> str | None:
    made = negate_question(*filled(template))
    return None if made is None else made.prompt.replace(NAME, "{}")


@pytest.mark.parametrize("name", NEGATIONS)
def test_table_wins_for_every_template(name: str) -> None:
    for row in read_rows(name):
        prompt, span = filled(row["template"])
        assert negate(prompt, span) == Negation(filled(row["negated_template"])[0], "table", row["rule"])


def test_rules_alone_against_the_table_they_were_written_beside() -> None:
    """214 of 218 agree; where they do not, three refuse and one lacks an article."""
    rows = {row["template"]: row["negated_template"] for row in read_rows(NEGATIONS[0])}
    made = {template: by_rule(template) for template in rows}
    assert {template for template in rows if made[template] is None} == {"{}, speaker of", "{} owner", "{} label :"}
    assert [template for template in rows if made[template] not in (rows[template], None)] == ["{} is follower of"]


def test_rules_alone_against_the_second_table() -> None:
    rows = read_rows(NEGATIONS[1])
    assert [row["template"] for row in rows if by_rule(row["template"]) != row["negated_template"]] == []
    assert len(rows) == 81


@pytest.mark.parametrize(
    ("template", "negated"),
    [
        ("{} has been living in", "{} has not been living in"),
        ("{} has won the", "{} has not won the"),
        ("{} must pay taxes in", "{} must not pay taxes in"),
        ("{} (1815) lives in", "{} (1815) does not live in"),
        ('"{}" was sung by', '"{}" was not sung by'),
        ("{} directed or edited the film", "{} did not direct or edit the film"),
        ("{} is a film that was shot in", "{} is not a film that was shot in"),
        ("People in {}'s twin city speak", "People in {}'s twin city do not speak"),
        ("Where {} died, people speak", "Where {} died, people do not speak"),
        ("{} first appeared on", "{} did not first appear on"),
        ("On the map, {} is in", "On the map, {} is not in"),
        ("In {}, the people that were elected are", "In {}, the people that were elected are not"),
        ("The band {} were formed in", "The band {} were not formed in"),
        ("The inhabitants of {} speak", "The inhabitants of {} do not speak"),
        ("It rained. {} lives in", "It rained. {} does not live in"),
        ('The answer to the question "Who is not {}?" is', 'The answer to the question "Who is not {}?" is not'),
    ],
)
def test_rules_beyond_the_tables(template: str, negated: str) -> None:
    assert by_rule(template) == negated


@pytest.mark.parametrize(
    "template",
    [
        "It was {} who discovered",  # a cleft: the verb after the subject is not the main one
        "The group with which {} is associated has ties to",  # a relative clause holds the subject
        "When {} was born, it rained in",
        "In {}, grapes",
        "{} is not from",  # negative already
        "{} never lived in",
        "{} quacks like",  # no verb that is known
        "{} owners",
        "{}",
        "{} lives in London. The capital of England is a",  # two sentences
        "Who is {}?",  # a question: see negate_question
        "{} released by",  # a participle, or a verb?
        "{} located in the region of",
        "{} CITES Appendix",
        "{}'s religious values strongly emphasize",  # a noun that looks like a verb
        "The language {} was written in is called",  # the second verb carries the sentence
        "The reason {} has its name is that",
    ],
)
def test_refused_rather_than_guessed(template: str) -> None:
    assert by_rule(template) is None


def test_supplied_prompt_wins_over_the_table() -> None:
    prompt, span = filled("The capital of {} is")
    own = f"The capital of {NAME} is surely not"
    assert negate(prompt, span, supplied=f" {own} ") == Negation(own, "supplied", "supplied")


@pytest.mark.parametrize("supplied", ["", "   ", None, f"The capital of {NAME} is", "It is not"])
def test_supplied_prompt_that_cannot_serve_is_passed_over(supplied: str | None) -> None:
    made = negate(*filled("The capital of {} is"), supplied=supplied)
    assert made == Negation(f"The capital of {NAME} is not", "table", "final_be")


@pytest.mark.parametrize(
    ("template", "negated"),
    [
        ("What university did {} attend?", "What university did {} not attend?"),
        ("Who is the mother of {}?", "Who is not the mother of {}?"),
        ("The father of {} is whom?", "The father of {} is not whom?"),
        ("Who fathered {}?", "Who did not father {}?"),
        ("What company manufactures {}", "What company does not manufacture {}?"),
        ("Player {} plays for what team?", "Player {} does not play for what team?"),
        ("In which state is {} located?", "In which state is {} not located?"),
        ("What celestial body can {} be found on?", "What celestial body can {} not be found on?"),
        ("In which year {} ceased to exist?", "In which year {} did not cease to exist?"),
        ("When did {}'s death occur?", "When did {}'s death not occur?"),
        ("Who has acted in the film {}?", "Who has not acted in the film {}?"),
        ("Which species has the {} gene?", "Which species does not have the {} gene?"),
        ("What network first aired {}?", "What network did not first air {}?"),
        ("What year was it when {} died?", "What year was it not when {} died?"),
    ],
)
def test_questions_are_negated_in_place(template: str, negated: str) -> None:
    assert asked(template) == negated


@pytest.mark.parametrize(
    "template", ["The date of {}?", "Is {} a woman?", "Who did not know {}?", "{}?", "Tell me of {}"]
)
def test_questions_of_unknown_build_are_refused(template: str) -> None:
    assert asked(template) is None


names = st.text(min_size=1, max_size=12).filter(lambda text: text == text.strip())
pieces = st.sampled_from(
    ["X", " is", " not", " was", " plays", " who", " which", " has", " In", ", ", "?", ". ", "'s", '"', "{}", " ("]
)
words = st.lists(pieces, max_size=8).map("".join)


@settings(deadline=None)
@given(names, st.sampled_from(sorted(NEGATED_TEMPLATES)))
def test_nothing_up_to_the_subject_changes_in_a_known_template(name: str, template: str) -> None:
    prompt, span = filled(template, name)
    made = negate(prompt, span)
    assert made is not None
    assert made.prompt.startswith(prompt[: span[1]])
    assert made.prompt != prompt


@settings(deadline=None)
@given(words, names, words)
def test_nothing_up_to_the_subject_changes_in_any_text(before: str, name: str, after: str) -> None:
    prompt, span = before + name + after, (len(before), len(before) + len(name))
    made = negate(prompt, span)
    assert made is None or (made.prompt.startswith(prompt[: span[1]]) and "not" in made.prompt[span[1] :])


@settings(deadline=None)
@given(words, names, words)
def test_a_negated_question_keeps_its_subject_and_gains_a_not(before: str, name: str, after: str) -> None:
    question, span = before + name + after, (len(before), len(before) + len(name))
    made = negate_question(question, span)
    assert made is None or (name in made.prompt and "not" in made.prompt and made.prompt.endswith("?"))


REAL = {
    "counterfact/counterfact-edit.json": (mcf.load, {"table": 9917}),
    "counterfact/counterfact_rich_1000.json": (mcf.load, {"table": 978}),
    "wcf/train_cf.json": (wcf.load, {"table": 1411}),
    "mquake/mquake_edits_rebuilt_with_true.json": (mquake.load, {"table": 2785}),
    "mquake/MQuAKE-hard.json": (mquake.load, {"table": 767}),
    "zsre/ZsRE-test-all.json": (zsre.load_cloze, {"table": 42, "rule": 1198, "refused": 1}),
    "qaedit/QAEdit_inter_1k.json": (qaedit.load_cloze, {"rule": 997}),
}


@pytest.mark.parametrize("file", REAL)
def test_coverage_of_real_prompts(reference: Path, file: str) -> None:
    load, expected = REAL[file]
    found: dict[str, int] = {}
    for case in load(reference / "data" / file).cases:
        made = negate(case.prompt, case.subject)
        assert made is None or made.prompt.startswith(case.prompt[: case.subject[1]])
        how = "refused" if made is None else made.how
        found[how] = found.get(how, 0) + 1
    assert found == expected


def test_coverage_of_real_questions(reference: Path) -> None:
    cases = zsre.load(reference / "data/zsre/ZsRE-test-all.json").cases
    made = [negate_question(case.prompt, case.subject) for case in cases]
    assert (len(made), sum(one is not None for one in made)) == (1244, 1228)
