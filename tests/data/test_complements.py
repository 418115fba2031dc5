from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.data.adverbs import Refusal
from editharness.data.complements import KINDS, Kind, Pair, complement, complements, coverage
from editharness.data.templates import NEGATED_TEMPLATES, STATEMENT_TEMPLATES
from editharness.types import Case
from editharness_plugins import pocket as pocket_folder
from editharness_plugins.datasets import mcf, mquake, pocket, wcf, zsre

NAME = "Ada Lovelace"
KEEPS_SUBJECT = ("never", "no_longer", "antonym", "contrast")


def case(template: str, target: str = "Paris", old: str = "London", name: str = NAME) -> Case:
    """A case whose statement is the table's, or its own prompt."""
    at = template.index("{}")
    prompt = template.replace("{}", name, 1)
    statement = STATEMENT_TEMPLATES.get(template, template).replace("{}", name, 1) + " {}"
    return Case("1", prompt, (at, at + len(name)), target, old=old, statement=statement)


def wordings(template: str, kind: Kind, target: str = "Paris", old: str = "London") -> tuple[str, str] | str:
    made = complement(case(template, target, old), kind)
    if isinstance(made, Refusal):
        return made.reason
    texts = (made.affirming.prompt, made.denying.prompt)
    return texts[0].replace(NAME, "{}"), texts[1].replace(NAME, "{}")


@pytest.mark.parametrize(
    ("kind", "template", "affirming", "denying"),
    [
        ("never", "The capital of {} is", "The capital of {} has indeed been", "The capital of {} has never been"),
        ("never", "{} plays the", "{} has indeed played the", "{} has never played the"),
        (
            "never",
            "{} professionally plays the sport",
            "{} has indeed professionally played the sport",
            "{} has never professionally played the sport",
        ),
        ("never", "{} debuted on", "{} indeed debuted on", "{} never debuted on"),
        ("never", "{} used to work in", "{} indeed used to work in", "{} never used to work in"),
        ("never", "{} can be found in", "{} can indeed be found in", "{} can never be found in"),
        ("never", "{}, developed by", "{}, indeed developed by", "{}, never developed by"),
        (
            "never",
            "{}'s headquarters are in",
            "{}'s headquarters have indeed been in",
            "{}'s headquarters have never been in",
        ),
        ("never", "{} owner", "{} owner has indeed been", "{} owner has never been"),
        (
            "never",
            "What sport does {} play? They play",
            "What sport does {} play? They have indeed played",
            "What sport does {} play? They have never played",
        ),
        ("no_longer", "The capital of {} is", "The capital of {} is now", "The capital of {} is no longer"),
        ("no_longer", "{} works for", "{} now works for", "{} no longer works for"),
        ("no_longer", "{}, a citizen of", "{}, now a citizen of", "{}, no longer a citizen of"),
        (
            "false_that",
            "The capital of {} is",
            "It is true that the capital of {} is",
            "It is false that the capital of {} is",
        ),
        (
            "false_that",
            "{}, developed by",
            "It is true that {} was developed by",
            "It is false that {} was developed by",
        ),
        ("antonym", "{} is located in", "{} is located within", "{} is located outside"),
        ("antonym", "{}, in", "{}, within", "{}, outside"),
        ("antonym", "{} died in the city of", "{} died within the city of", "{} died outside the city of"),
        (
            "antonym",
            "{} belongs to the continent of",
            "{} lies within the continent of",
            "{} lies outside the continent of",
        ),
        ("antonym", "{} has a citizenship from", "{} has a citizenship from", "{} lacks a citizenship from"),
        ("antonym", "{}, a citizen of", "{}, a citizen of", "{}, a non-citizen of"),
        (
            "antonym",
            "The currency of {} is the",
            "The currency of {} is none other than the",
            "The currency of {} is anything but the",
        ),
        ("contrast", "{} is located in", "{} is not located in London but in", "{} is located in Paris, not in"),
        ("contrast", "{} plays the", "{} does not play the London but the", "{} plays the Paris, not the"),
        ("contrast", "{} owner", "{} owner is not London but", "{} owner is Paris, not"),
        ("contrast", "{} can be found in", "{} cannot be found in London but in", "{} can be found in Paris, not in"),
    ],
)
def test_wordings(kind: Kind, template: str, affirming: str, denying: str) -> None:
    assert wordings(template, kind) == (affirming, denying)


@pytest.mark.parametrize(
    ("template", "target", "old", "yes", "no"),
    [
        (
            "The date of birth of {} is",
            "1932",
            "5 May 1815",
            "Is the date of birth of {} a date in the 20th century?",
            "Is the date of birth of {} a date in the 19th century?",
        ),
        (
            "{} was founded in",
            "1932",
            "1815",
            "Was {} founded in the 20th century?",
            "Was {} founded in the 19th century?",
        ),
        (
            "The atomic number of {} is",
            "42",
            "7",
            "Is the atomic number of {} greater than 7?",
            "Is the atomic number of {} less than 42?",
        ),
        (
            "The capital of {} is",
            "Nairobi",
            "Rome",
            "Is the capital of {} a city in Africa?",
            "Is the capital of {} a city in Europe?",
        ),
        (
            "{} was created in the country of",
            "Italy",
            "Japan",
            "Was {} created in a country in Europe?",
            "Was {} created in a country in Asia?",
        ),
        ("{} died at", "Lima", "Rome", "Did {} die in a city in South America?", "Did {} die in a city in Europe?"),
        (
            "The mother tongue of {} is",
            "Finnish",
            "French",
            "Is the mother tongue of {} a Uralic language?",
            "Is the mother tongue of {} a Romance language?",
        ),
    ],
)
def test_inferences(template: str, target: str, old: str, yes: str, no: str) -> None:
    assert wordings(template, "contradictory", target, old) == (yes, no)
    made = complement(case(template, target, old), "contradictory")
    assert isinstance(made, Pair)
    assert (made.affirming.expected, made.denying.expected) == ("yes", "no")


@pytest.mark.parametrize(
    ("kind", "template", "target", "old", "reason"),
    [
        ("never", "{} was born in", "Paris", "London", "happens once, or is a date"),
        ("never", "{}, the", "harp", "piano", "no sentence"),
        ("never", "{} is not in", "Paris", "London", "negative already"),
        ("no_longer", "{} was employed in", "Paris", "London", "past tense"),
        ("no_longer", "The mother tongue of {} is", "English", "French", "cannot change, or not known to"),
        ("no_longer", "{} is in", "Asia", "Europe", "cannot change, or not known to"),
        ("antonym", "{} plays", "jazz", "rock", "no antonym for the wording"),
        ("antonym", "{} was founded in", "1932", "1815", "an answer that is no place"),
        ("antonym", "In {}, an official language is", "French", "Dutch", "another answer may be true too"),
        ("contrast", "{} is in", "Paris", "", "no old answer"),
        ("contrast", "{}'s profession is an", "actor", "poet", "article does not fit the answer"),
        ("contrast", "{} is in", "not known", "Rome", "an answer that is negative"),
        ("contradictory", "{} is in", "Kenya", "", "no old answer"),
        ("contradictory", "{} is in", "Russia", "Kenya", "classes of the answers not known, or the same"),
        ("contradictory", "{} is in", "Italy", "France", "classes of the answers not known, or the same"),
        ("contradictory", "{} speaks", "French", "English", "another answer may be true too"),
        ("contradictory", "The author of {} is", "Jordan", "Chad", "the wording does not ask for a place"),
        (
            "contradictory",
            "In {}, the language spoken is",
            "French",
            "English",
            "no sentence whose verb can be fronted",
        ),
        ("contradictory", "{} is from", "1932", "1815", "the wording does not ask for a year"),
    ],
)
def test_refused_by_reason(kind: Kind, template: str, target: str, old: str, reason: str) -> None:
    assert wordings(template, kind, target, old) == reason


def test_a_question_is_refused_in_every_kind() -> None:
    asked = Case("1", "Who is Ada?", (7, 10), "x", question="Who is Ada?")
    assert set(complements(asked).values()) == {Refusal("the prompt is a question")}


def sound(case: Case, made: Pair, kind: Kind) -> None:
    """What holds of every pair."""
    assert made.affirming.prompt != made.denying.prompt
    for one in (made.affirming, made.denying):
        assert one.prompt[one.subject[0] : one.subject[1]] == case.subject_text
        assert "not not" not in one.prompt.replace(case.subject_text, "")
        if kind in KEEPS_SUBJECT:
            assert one.prompt.startswith(case.prompt[: case.subject[1]])
            assert one.subject == case.subject


letters = st.text("abcXYZ '-", min_size=1, max_size=10).filter(
    lambda t: t == t.strip() and "  " not in t and "'" not in t
)


@settings(deadline=None)
@given(st.sampled_from(sorted(NEGATED_TEMPLATES)), letters, letters, letters)
def test_every_known_template_with_any_words(template: str, name: str, target: str, old: str) -> None:
    one = case(template, target, old, name)
    for kind, made in complements(one).items():
        if isinstance(made, Pair):
            sound(one, made, kind)
            for text in (made.affirming.prompt, made.denying.prompt):
                assert text == " ".join(text.split())


pieces = st.sampled_from(
    ["X", " is", " not", " was", " plays", " who", " has", " In", ", ", "?", ". ", "'s", " the", " in", " cannot", "{}"]
)


@settings(deadline=None)
@given(st.lists(pieces, max_size=6).map("".join), letters, st.lists(pieces, max_size=6).map("".join))
def test_any_text_is_refused_or_sound(before: str, name: str, after: str) -> None:
    prompt = before + name + after
    one = Case("1", prompt, (len(before), len(before) + len(name)), "Paris", old="Lima", statement=prompt + " {}")
    for kind, made in complements(one).items():
        if isinstance(made, Pair):
            sound(one, made, kind)


MADE = {
    "counterfact/counterfact-edit.json": (mcf.load, (9138, 3807, 9772, 4874, 9671, 1422)),
    "zsre/ZsRE-test-all.json": (zsre.load_cloze, (1040, 120, 1241, 1051, 1240, 43)),
    "wcf/train_cf.json": (wcf.load, (1305, 718, 1411, 1264, 1410, 5)),
    "mquake/mquake_edits_rebuilt_with_true.json": (mquake.load, (2712, 1806, 2785, 2031, 2785, 140)),
}


@pytest.mark.slow
@pytest.mark.parametrize("file", MADE)
def test_coverage_of_real_prompts(reference: Path, file: str) -> None:
    load, expected = MADE[file]
    cases = load(reference / "data" / file).cases
    check(cases)
    counts = coverage(cases)
    assert all(sum(counts[kind].values()) == len(cases) for kind in KINDS)
    assert tuple(counts[kind]["made"] for kind in KINDS) == expected


def test_coverage_of_pocket() -> None:
    cases = pocket.load(Path(pocket_folder.__file__).parent / "pocket.jsonl").cases
    check(cases)
    assert tuple(coverage(cases)[kind]["made"] for kind in KINDS) == (1073, 505, 1168, 1128, 1168, 217)


def check(cases: tuple[Case, ...]) -> None:
    """Every pair is sound, and its text is clean."""
    for one, kind, made in pairs(cases):
        sound(one, made, kind)
        for text in (made.affirming.prompt, made.denying.prompt):
            assert text == " ".join(text.split())


def pairs(cases: tuple[Case, ...]) -> Iterator[tuple[Case, Kind, Pair]]:
    for one in cases:
        for kind, made in complements(one).items():
            if isinstance(made, Pair):
                yield one, kind, made
