from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.data.negation import negate
from editharness.data.questions import completion, fallback
from editharness.data.records import read_records

NAME = "Ada Lovelace"


def completed(template: str) -> str:
    at = template.index("{}")
    made = completion(template.replace("{}", NAME), (at, at + len(NAME)))
    assert made.prompt[made.subject[0] : made.subject[1]] == NAME
    return made.prompt.replace(NAME, "{}")


@pytest.mark.parametrize(
    ("question", "prompt"),
    [
        ("What university did {} attend?", "The university {} attended is"),
        ("Which family does {} belong?", "The family {} belongs to is"),
        ("Who was the designer of {}?", "The designer of {} was"),
        ("What is {}'s father's name?", "{}'s father's name is"),
        ("What was the name of {} mother?", "The name of {} mother was"),
        ("Who was behind the creation of {}?", "The person who was behind the creation of {} is"),
        ("The father of {} is whom?", "The father of {} is"),
        ("The {} was in what series?", "The {} was in the series"),
        ("The {} is part of a what series?", "The {} is part of the series"),
        ("The date of birth of {} is?", "The date of birth of {} is"),
        ("In which state is {} located?", "{} is located in the state of"),
        ("In which year {} ceased to exist?", "{} ceased to exist in the year"),
        ("By whom was {} directed?", "{} was directed by"),
        ("On what planet is {} on?", "{} is on the planet of"),
        ("What celestial body can {} be found on?", "The celestial body {} can be found on is"),
        ("Who fathered {}?", "The person who fathered {} is"),
        ("What company produced {}?", "The company that produced {} is"),
        ("Which lady gave birth to {}?", "The lady who gave birth to {} is"),
        ("What network first aired {}?", "The network that first aired {} is"),
        ("Who was {} directed by?", "{} was directed by"),
        ("Who is the {} named after?", "The {} is named after"),
        ("What is the surface of {} made of?", "The surface of {} is made of"),
        ("What vessel type is {} (DD-218)?", "The vessel type of {} (DD-218) is"),
        ("When was {} first discovered?", "The date when {} was first discovered is"),
        ("When was the birth of {}?", "The date of the birth of {} was"),
        ("When is the date of birth of {}?", "The date of birth of {} is"),
        ("Where was {} born?", "{} was born in"),
        ("Where is {}?", "{} is located in"),
        ("Where did {} study or work?", "The place where {} studied or worked is"),
        ("What city did {} live when he died?", "The city where {} lived when he died is"),
        ("What date did {} die?", "The date {} died is"),
        ("What year was it when {} was dissolved?", "The year when {} was dissolved was"),
        ("Which lady {} was born to?", "The lady {} was born to is"),
        ("What is year of inception of {}?", "The year of inception of {} is"),
        ("What is the war that {} fought in?", "The war that {} fought in is"),
    ],
)
def test_completion(question: str, prompt: str) -> None:
    assert completed(question) == prompt


@pytest.mark.parametrize(
    "question",
    [
        "How did {} die?",
        "Whose direction is {}?",
        "Is {} a male or female?",
        "Which country's citizenship does {} hold?",
        "In one word, how did {} die?",
        "When did {} occurr?",
        "In what work would you find a character named {}?",
        "By whom was {} was directed?",
        "{}",
        "What {}",
    ],
)
def test_what_is_not_understood_is_quoted(question: str) -> None:
    assert completed(question) == f'The answer to the question "{question}" is'


pieces = st.sampled_from(["what ", "Which ", "did ", "is ", "the ", "of ", "play ", "x", ",", "?", '"', "{}"])
texts = st.lists(pieces, max_size=8).map("".join)


@settings(deadline=None)
@given(texts, st.text(min_size=1, max_size=8), texts)
def test_every_question_becomes_a_prompt_with_its_subject(before: str, name: str, after: str) -> None:
    made = completion(before + name + after, (len(before), len(before) + len(name)))
    assert made.prompt[made.subject[0] : made.subject[1]] == name


@settings(deadline=None)
@given(texts, st.text(min_size=1, max_size=8), texts)
def test_the_fallback_can_always_be_negated(before: str, name: str, after: str) -> None:
    made = fallback(before + name + after, (len(before), len(before) + len(name)))
    negated = negate(made.prompt, made.subject)
    assert negated is not None
    assert negated.prompt == f"{made.prompt} not"


def test_agreement_with_prompts_written_by_hand(reference: Path) -> None:
    """Word for word 48 of 98; most others differ in form only ("X belongs to the family of")."""
    folder = reference / "data/zsre"
    subjects: dict[str, str] = {}
    for name, question in (("ZsRE-test-all.json", "prompt"), ("zsre_mend_eval_portability_gpt4.json", "src")):
        for record in read_records(folder / name).records:
            subjects[record.text(question)] = record.text("subject")
    known = [
        r for r in read_records(folder / "zsre_text_completion_prompts.json").records if r.text("question") in subjects
    ]
    rules = {question: completion(question, span(question, name)) for question, name in subjects.items()}
    same = [r for r in known if rules[r.text("question")].prompt == r.text("text_completion_prompt")]
    assert (len(known), len(same)) == (98, 48)
    assert (len(rules), sum(made.rule == "fallback" for made in rules.values())) == (1550, 31)


def span(question: str, name: str) -> tuple[int, int]:
    at = question.index(name)
    return at, at + len(name)
