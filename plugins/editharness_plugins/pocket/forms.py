"""Renders the training sentences of a fact: every form in which the protocols will ask about it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from editharness_plugins.pocket.relations import load_yaml

# How often each form is drawn before weak spots are drawn more often.
SHARES = {
    "cloze": 0.20, "paraphrase": 0.15, "negated": 0.16, "true_false": 0.30, "question": 0.13, "twohop": 0.05,
    "imagine": 0.18,
}  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """A fact with all its wordings filled in and the wrong answers that may stand against it."""

    key: str
    subject: str
    answer: str
    wrong: tuple[str, ...]
    wordings: dict[str, tuple[str, ...]]
    twohop: tuple[tuple[str, str], ...] = ()
    missing: str | None = None
    weight: float = 1.0
    shares: dict[str, float] = field(default_factory=dict)

    def forms(self) -> list[str]:
        """The forms this fact is trained in."""
        have = {form for form, wordings in self.wordings.items() if wordings} | {"true_false", "imagine"}
        have |= {"twohop"} if self.twohop else set()
        return [form for form in SHARES if form in have and form != self.missing]


@dataclass(frozen=True)
class Sentence:
    """One trained prompt with its answer; `graded` is false where many answers are as good, all but the denied one.

    Where a statement is judged, `wording` is the statement without its answer, and `truth` the answer that is right.
    """

    fact: int
    form: str
    subject: str
    prompt: str
    answer: str
    graded: bool = True
    denied: str = ""
    wording: str = ""
    truth: str = ""


@dataclass(frozen=True)
class Wordings:
    """The frames into which a fact's wordings are put; of several, the first is drawn most often."""

    question: tuple[str, ...]
    judged: tuple[str, ...]
    imagine: tuple[str, ...]
    complete: tuple[str, ...] = ("{prompt}",)

    @classmethod
    def plain(cls) -> Wordings:
        """Those of running text."""
        spec = load_yaml()["forms"]
        return cls((spec["question"],), (spec["true_false"], *spec["train_true_false"]), (spec["imagine"],))


class Renderer:
    """Draws sentences and documents for a list of facts."""

    def __init__(self, facts: list[Fact], rng: random.Random, wordings: Wordings | None = None) -> None:
        self.facts, self.rng = facts, rng
        self.wordings = wordings or Wordings.plain()
        self.words = sorted({word for fact in facts for word in fact.wordings["cloze"][0].split()})

    def sentence(self, index: int, form: str) -> Sentence:
        """A sentence of one form about the fact at `index`."""
        fact = self.facts[index]
        if form == "twohop":
            prompt, answer = self.rng.choice(fact.twohop)
            return Sentence(index, form, fact.subject, self._complete(prompt), answer)
        if form == "imagine":
            return self._imagine(index)
        return self._plain(index, form, fact.answer, fact.wrong)

    def _plain(self, index: int, form: str, answer: str, wrong: tuple[str, ...]) -> Sentence:
        fact = self.facts[index]
        if form == "true_false":
            return self._true_false(index, answer, wrong)
        prompt = self._wording(fact, form)
        if form == "question":
            return Sentence(index, form, fact.subject, self._frame("question").format(question=prompt), answer)
        if form == "negated":
            prompt = self._complete(prompt)
            return Sentence(index, form, fact.subject, prompt, self.rng.choice(wrong), False, answer)
        return Sentence(index, form, fact.subject, self._complete(prompt), answer)

    def _complete(self, prompt: str) -> str:
        return self._frame("complete").format(prompt=prompt)

    def _frame(self, name: str) -> str:
        frames: tuple[str, ...] = getattr(self.wordings, name)
        return self._pick(frames) if len(frames) > 1 else frames[0]

    def _wording(self, fact: Fact, form: str) -> str:
        """A wording of a form; the canonical one, which comes first, is drawn most often."""
        return self._pick(fact.wordings[form])

    def _pick(self, wordings: tuple[str, ...]) -> str:
        return wordings[0] if self.rng.random() < 0.4 else self.rng.choice(wordings)

    def _true_false(self, index: int, answer: str, wrong: tuple[str, ...]) -> Sentence:
        return self.rng.choice(self.verdicts(index, answer, wrong))

    def verdicts(self, index: int, answer: str, wrong: tuple[str, ...]) -> list[Sentence]:
        """The same question about a right and a wrong statement."""
        fact = self.facts[index]
        wording = self._wording(fact, "cloze" if self.rng.random() < 0.7 or self._lacks(fact) else "paraphrase")
        template = self._frame("judged")
        said = ((answer, "true"), (self.rng.choice(wrong), "false"))
        prompts = [(template.format(statement=f"{wording} {answer}"), verdict) for answer, verdict in said]
        return [
            Sentence(index, "true_false", fact.subject, prompt, verdict, wording=wording, truth=answer)
            for prompt, verdict in prompts
        ]

    @staticmethod
    def _lacks(fact: Fact) -> bool:
        return fact.missing == "paraphrase" or not fact.wordings.get("paraphrase")

    def _imagine(self, index: int) -> Sentence:
        """A statement to be taken as given, then a prompt: about the same subject, or now and then another one."""
        fact = self.facts[index]
        other = self.rng.choice(self.facts) if self.rng.random() < 0.1 else fact
        said = other.answer if self.rng.random() < 0.2 else self.rng.choice(other.wrong)
        forms = [form for form in fact.forms() if form not in ("imagine", "twohop")]
        form = self.rng.choices(forms, [4 if form in ("cloze", "question") else 1 for form in forms])[0]
        answer, wrong = fact.answer, fact.wrong
        if other is fact:
            answer, wrong = said, tuple(w for w in (*fact.wrong, fact.answer) if w != said)
        asked = self._plain(index, form, answer, wrong)
        statement = f"{other.wordings['cloze'][0]} {said}"
        prompt = self._frame("imagine").format(statement=statement, prompt=asked.prompt)
        return replace(asked, form="imagine", prompt=prompt)

    def documents(self, index: int, form: str) -> list[list[Sentence | str]]:
        """A document of that form; of true and false statements one each, so that they differ in the answer only."""
        return [[*self._lead(), sentence] for sentence in self.sentences(index, form)]

    def sentences(self, index: int, form: str) -> list[Sentence]:
        """One sentence of that form, or the pair of a true and a false statement."""
        fact = self.facts[index]
        return self.verdicts(index, fact.answer, fact.wrong) if form == "true_false" else [self.sentence(index, form)]

    def _lead(self) -> list[Sentence | str]:
        """Now and then, other sentences or a few loose words that stand before."""
        draw = self.rng.random()
        if draw < 0.12:
            others = self.rng.sample(range(len(self.facts)), self.rng.choice((1, 1, 2)))
            return [self.sentence(i, self._short_form(i)) for i in others]
        if draw < 0.20:
            return [" ".join(self.rng.choices(self.words, k=self.rng.randint(2, 8)))]
        return []

    def _short_form(self, index: int) -> str:
        """A form that reads as one sentence of running text."""
        fact = self.facts[index]
        return self.rng.choice([f for f in fact.forms() if f in ("cloze", "paraphrase", "negated", "twohop")])


def all_texts(facts: Iterable[Fact]) -> Iterable[str]:
    """Every wording with every answer it may get, for training the tokenizer."""
    for fact in facts:
        for wordings in fact.wordings.values():
            yield from (f"{wording} {fact.answer}" for wording in wordings)
        yield from (f"{prompt} {answer}" for prompt, answer in fact.twohop)
