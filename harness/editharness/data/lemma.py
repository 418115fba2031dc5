"""English verb forms, as far as prompts need them: which word is a finite verb, its lemma, and the forms of a lemma.

A closed list of verbs, on purpose: a word that is not in it is never taken for a verb, so that a rule built on this
module refuses ("{} owners") instead of guessing. Inflecting works for every lemma, listed or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Tense = Literal["present", "past", "base"]

BE: Final = frozenset({"is", "was", "are", "were"})
MODALS: Final = frozenset({"can", "could", "will", "would", "must", "may", "might", "shall", "should"})
DO: Final = frozenset({"do", "does", "did"})
HAVE: Final = frozenset({"has", "have", "had"})

_REGULAR: Final = """
abolish accept accompany accuse achieve acquire act adapt add address adopt advise affect afflict agree aim air allow
analyze announce appeal appear apply appoint approve arrange arrest arrive ask assassinate assemble assign assist
associate attack attend attract author award base believe belong border call campaign cause cease celebrate chair
challenge champion change choreograph cite claim clarify close coach coin collaborate collect command commission
commit compete complete compose conceive conclude conduct connect conquer consider consist construct contain continue
contract contribute control convert cooperate cover craft crash create cross dance debut declare decorate dedicate
defeat defend define deliver demand demolish depart depend depict derive descend describe design destroy determine
develop devise die direct discover discuss dissolve distribute divide divorce document dominate donate draft drop dub
edit educate elect emerge emphasize employ encompass encounter end endorse enjoy enlist enroll enter entertain equip
espouse establish examine excel exchange execute exhibit exist expand experience expire explain explore export express
extend face fail father favor feature film finance finish flow follow form formulate found fund gain gather govern
graduate guard guest handle happen head helm help hire host house identify illustrate impact import improve include
incorporate incur influence inhabit inherit initiate inspire install instruct intend interact intersect introduce
invade invent invest investigate involve issue join jump kill kiss label lack land last launch lecture license like
link list live locate look love maintain manage manufacture march mark market marry match measure mention merge
migrate model mother move murder name narrate need negotiate nominate note observe obtain occupy occur offer open
operate oppose orbit order organize originate own paint participate pass patent perform permit photograph pioneer
place plan plant play portray possess practice praise precede prefer premiere prepare present preside prevent print
produce profess program project promote propose prosecute protect prove provide publicise publicize publish purchase
pursue race rank reach receive recognize record recruit refer regard reign reject relate release relocate remain
remove render renounce replace report represent require research reside resign respect respond result retire return
reveal revise revolve rule sail sample save scheme score sculpt search seem select separate serve settle shape share
ship sign sire skate sound specialise specialize sponsor spot stage star start state station stay stop struggle study
submit succeed succumb suffer suggest support surround survive symbolize talk target taste tend terminate title touch
tour trade train transfer translate travel treat try turn unite use utilize value vanish visit volunteer vote walk
want watch wed wield wish witness wonder work worship yield
"""
_IRREGULAR: Final = """
bear:bore:borne beat:beat:beaten become:became:become begin:began:begun bind:bound:bound blow:blew:blown
break:broke:broken bring:brought:brought broadcast:broadcast:broadcast build:built:built buy:bought:bought
catch:caught:caught choose:chose:chosen come:came:come cost:cost:cost cut:cut:cut deal:dealt:dealt draw:drew:drawn
drink:drank:drunk drive:drove:driven eat:ate:eaten fall:fell:fallen feed:fed:fed feel:felt:felt fight:fought:fought
find:found:found fly:flew:flown forget:forgot:forgotten get:got:gotten give:gave:given go:went:gone grow:grew:grown
have:had:had hear:heard:heard hit:hit:hit hold:held:held keep:kept:kept know:knew:known lay:laid:laid lead:led:led
learn:learned:learned leave:left:left lie:lay:lain lose:lost:lost make:made:made mean:meant:meant meet:met:met
oversee:oversaw:overseen pay:paid:paid put:put:put read:read:read ride:rode:ridden rise:rose:risen run:ran:run
say:said:said see:saw:seen seek:sought:sought sell:sold:sold send:sent:sent set:set:set shoot:shot:shot
show:showed:shown sing:sang:sung sit:sat:sat speak:spoke:spoken spend:spent:spent stand:stood:stood steal:stole:stolen
swim:swam:swum take:took:taken teach:taught:taught tell:told:told think:thought:thought undergo:underwent:undergone
understand:understood:understood wear:wore:worn win:won:won withdraw:withdrew:withdrawn write:wrote:written
"""
_DOUBLING: Final = """
commit control drop dub equip incur occur permit plan prefer program refer ship spot star stop submit transfer
"""
_DOUBLED: Final = frozenset(_DOUBLING.split())


@dataclass(frozen=True)
class VerbForm:
    """A word read as a finite verb. `base` may be a plural present; a past that equals its base ("set") is past."""

    lemma: str
    tense: Tense


def _irregulars() -> dict[str, tuple[str, str]]:
    rows = (row.split(":") for row in _IRREGULAR.split())
    return {lemma: (past_form, participle) for lemma, past_form, participle in rows}


_PAST: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(_irregulars())
LEMMAS: Final = frozenset(_REGULAR.split()) | frozenset(_PAST)


def _regular_past(lemma: str) -> str:
    if lemma.endswith("e"):
        return lemma + "d"
    if lemma.endswith("y") and lemma[-2:-1] not in "aeiou":
        return lemma[:-1] + "ied"
    return lemma + (lemma[-1] if lemma in _DOUBLED else "") + "ed"


def past(lemma: str) -> str:
    """The simple past: attend -> attended, write -> wrote."""
    return _PAST[lemma][0] if lemma in _PAST else _regular_past(lemma)


def participle(lemma: str) -> str:
    """The past participle: attend -> attended, write -> written."""
    return _PAST[lemma][1] if lemma in _PAST else _regular_past(lemma)


def third_person(lemma: str) -> str:
    """The third person singular: play -> plays, cross -> crosses, study -> studies, have -> has."""
    if lemma == "have":
        return "has"
    if lemma.endswith("y") and lemma[-2:-1] not in "aeiou":
        return lemma[:-1] + "ies"
    return lemma + ("es" if lemma.endswith(("s", "x", "z", "ch", "sh", "o")) else "s")


def _forms() -> dict[str, VerbForm]:
    """Every finite form of every listed verb. "found" is the past of find before the base of found, and so on."""
    forms = {lemma: VerbForm(lemma, "base") for lemma in LEMMAS}
    forms |= {third_person(lemma): VerbForm(lemma, "present") for lemma in LEMMAS}
    forms |= {past(lemma): VerbForm(lemma, "past") for lemma in sorted(LEMMAS - {"lie"})}
    return forms


_FORMS: Final[Mapping[str, VerbForm]] = MappingProxyType(_forms())
_PARTICIPLES: Final = frozenset(participle(lemma) for lemma in LEMMAS) | {"born", "wed"}


def finite(word: str) -> VerbForm | None:
    """The word as a finite form of a listed verb, or None. Does not know be, do and modals: they are not lexical."""
    return _FORMS.get(word[:1].lower() + word[1:])


def is_participle(word: str) -> bool:
    """Whether the word can be the past participle of a listed verb."""
    return word.lower() in _PARTICIPLES


def inflect(lemma: str, auxiliary: str) -> str:
    """The finite form that replaces `auxiliary` (do, does, did) + lemma: did attend -> attended."""
    forms = {"did": past, "does": third_person}
    return forms[auxiliary.lower()](lemma) if auxiliary.lower() in forms else lemma


def support(form: VerbForm) -> str:
    """The auxiliary that "not" needs before the lemma: plays -> does, played -> did, (they) play -> do."""
    return {"present": "does", "past": "did", "base": "do"}[form.tense]
