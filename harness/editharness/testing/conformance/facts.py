"""The facts that the checks edit, and the cases that a method may train on: made up, short, of unequal lengths."""

from __future__ import annotations

from collections.abc import Sequence

from editharness.seeing import show_arms
from editharness.types import Case, Edit, MethodSpec, Question

NEIGHBOURS = (Question("The river of Kenya is", "Tana"), Question("The river of Chad is", "Logone"))


def _case(number: int, prompt: str, subject: str, old: str, target: str, train: bool = False) -> Case:
    start = prompt.index(subject)
    return Case(
        id=f"{'train' if train else 'fact'}-{number}",
        prompt=prompt,
        subject=(start, start + len(subject)),
        target=target,
        old=old,
        question=f"What is said of {subject}?",
        statement=f"{prompt} {{}}.",
        paraphrases=(f"I think that {prompt[0].lower()}{prompt[1:]}", f"Of {subject}: it is"),
        neighbours=NEIGHBOURS,
        portability=(Question(f"Where one says {subject}, one says", target),),
        training_forms=(
            ("plain", f"They say: {prompt}"),
            ("plain", f"As for {subject}, it is"),
            ("plain", f"Ask about {subject} and hear"),
            ("negated", f"It is not so that {prompt}"),
            ("negated", f"As for {subject}, it is not"),
            ("judged", f"{prompt} {{}}, true or false?"),
        ),
        relation="says",
        answer_type="place",
        split="train" if train else "test",
    )


# The first two end with their subject: in a random model little else of a prompt reaches the answer. Then one in the
# middle, one at the start of several bytes a letter, one with more text behind it.
CASES = (
    _case(0, "One of the cities of Spain", "Spain", "Madrid", "Rome"),
    _case(1, "A language of the actress Danielle Darrieux", "Danielle Darrieux", "French", "English and Italian"),
    _case(2, "The official language of Norway, as everyone there will say, is", "Norway", "Norwegian", "French"),
    _case(3, "Tōkyō is a city in", "Tōkyō", "Asia", "Europe"),
    _case(4, "The Eiffel Tower's city is", "Eiffel Tower", "Paris", "Berlin"),
)
_CAPITALS = (
    ("Germany", "Berlin", "Rome"),
    ("Italy", "Rome", "Madrid"),
    ("France", "Paris", "Berlin"),
    ("Japan", "Tōkyō", "Paris"),
    ("Kenya", "Nairobi", "Lima"),
    ("Peru", "Lima", "Nairobi"),
    ("Chad", "Ndjamena", "Asia"),
    ("Fiji", "Suva", "Europe"),
)
TRAIN = tuple(
    _case(number, f"The capital of {subject} is", subject, old, target, train=True)
    for number, (subject, old, target) in enumerate(_CAPITALS)
)
QUESTIONS = tuple((case.prompt, answer) for case in CASES for answer in (case.target, case.old))
"""Prompts of unequal lengths with two answers each, for comparing models."""


def edits(spec: MethodSpec, cases: Sequence[Case] = CASES) -> list[Edit]:
    """One edit per case, with all that the spec says the method sees."""
    plain = [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]
    return show_arms({"facts": plain}, cases, spec.sees, TRAIN)["facts"]
