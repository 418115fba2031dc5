from __future__ import annotations

import pytest

from editharness.data import lemma


def test_every_form_of_every_verb_leads_back_to_its_lemma() -> None:
    for verb in sorted(lemma.LEMMAS - {"lie"}):  # "lay" is the past of lie and a verb of its own
        assert lemma.finite(lemma.third_person(verb)) == lemma.VerbForm(verb, "present")
        assert lemma.finite(lemma.past(verb)) == lemma.VerbForm(verb, "past")
        assert lemma.is_participle(lemma.participle(verb))


@pytest.mark.parametrize(
    ("verb", "third", "past", "participle"),
    [
        ("play", "plays", "played", "played"),
        ("study", "studies", "studied", "studied"),
        ("cross", "crosses", "crossed", "crossed"),
        ("go", "goes", "went", "gone"),
        ("have", "has", "had", "had"),
        ("occur", "occurs", "occurred", "occurred"),
        ("travel", "travels", "traveled", "traveled"),
        ("write", "writes", "wrote", "written"),
        ("die", "dies", "died", "died"),
        ("agree", "agrees", "agreed", "agreed"),
        ("quack", "quacks", "quacked", "quacked"),  # not listed: inflected all the same
    ],
)
def test_inflection(verb: str, third: str, past: str, participle: str) -> None:
    assert (lemma.third_person(verb), lemma.past(verb), lemma.participle(verb)) == (third, past, participle)


def test_a_word_outside_the_list_is_no_verb() -> None:
    assert lemma.finite("owners") is None
    assert lemma.finite("quacks") is None
    assert lemma.finite("is") is None


def test_found_is_read_as_the_past_of_find() -> None:
    assert lemma.finite("found") == lemma.VerbForm("find", "past")
    assert lemma.finite("founded") == lemma.VerbForm("found", "past")


@pytest.mark.parametrize(("auxiliary", "made"), [("did", "attended"), ("Does", "attends"), ("do", "attend")])
def test_inflect_undoes_do_support(auxiliary: str, made: str) -> None:
    assert lemma.inflect("attend", auxiliary) == made


def test_support_follows_the_tense() -> None:
    forms = [lemma.finite(word) for word in ("plays", "played", "play")]
    assert [lemma.support(form) for form in forms if form] == ["does", "did", "do"]
