"""What `wild`, `synthetic` and `modules` share: WILD's prompt and stops, and cases that the unedited model got wrong.

All three write the same edits about the same cases, so that their columns can be compared case by case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from editharness.forms import Ask, Form, neighbours, paraphrases, prompts, questions
from editharness.protocol import Answers, EvalProtocol, Moment, Row, Selection
from editharness.scoring import DENIALS, asserts, before_stop, squad_equals, token_f1
from editharness.types import Case, Edit

TEMPLATE = "Please answer the question:\n\nQ: {question}\nA:"
"""The context-guided prompt (appendix A.7, figure 6; white space as in the paper's code)."""
STOPS = (".", "\n")
"""Where an answer ends, beside the end of the text (section 4)."""
NEW_TOKENS = 50

EDITED = "edited"
"""The one arm: every case's target, written with the case's own prompt."""
SCREENED = "wild_{data}_question"
UNEDITED_ROWS = ("none", "none*")
SCORERS = {
    "em": "equal to the target as SQuAD normalises (lower case, no ASCII punctuation, no articles)",
    "right": "the same for the target or one of its aliases",
    "contains": f"whole words of target or alias, no old answer, none of {', '.join(DENIALS)}, n't",
    "f1": "words normalised as SQuAD, the best of target and aliases",
}
Values = Mapping[str, float]


def guided(question: str) -> str:
    """A question in WILD's prompt; a sentence to complete stands in the place of the question as it is."""
    return TEMPLATE.format(question=question)


def _guided(asks: Iterable[Ask]) -> Iterator[Ask]:
    for ask in asks:
        yield Ask(guided(ask.prompt), ask.target, ask.old, ask.aliases, ask.old_aliases)


def _own(case: Case) -> Iterable[Ask]:
    return questions(case) if case.question else prompts(case)


def score_answer(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    """Scores of a free answer up to its natural stop (SCORERS); `old_right` where the old answer is known."""
    said = before_stop(text, STOPS)
    target, old = str(doc["target"]), str(doc["old"])
    answers, rivals = [target, *doc["aliases"]], [old, *doc["old_aliases"]] if old else []
    scores = {
        "em": float(squad_equals(said, [target])),
        "right": float(squad_equals(said, answers)),
        "contains": float(asserts(said, answers, rivals)),
        "f1": token_f1(said, answers),
    }
    return {**scores, "old_right": float(squad_equals(said, rivals))} if old else scores


def _form(asks: Any) -> Form:
    return Form(asks, likelihoods=(), score=score_answer, null=score_answer)


QUESTION = _form(lambda case: _guided(_own(case)))
PARAPHRASE = _form(lambda case: _guided(paraphrases(case)))
NEIGHBOUR = _form(lambda case: _guided(neighbours(case)))


class OnFailures(EvalProtocol):
    """Base of protocols over the cases whose question the unedited model gets wrong under WILD (section 5.1)."""

    def select(self, cases: Iterable[Case]) -> Selection:
        """Every case; what it lacks is counted, and targets that no answer can equal, because a stop cuts them."""
        kept = tuple(cases)
        facts: Counter[str] = Counter()
        for case in kept:
            facts["asked with the prompt, having no question"] += not case.question
            facts["no paraphrase"] += not case.paraphrases
            facts["no neighbour"] += not case.neighbours
            facts["target holds a stop"] += stopped_short(case)
        return Selection(kept, facts={what: count for what, count in facts.items() if count})

    def screening(self) -> Sequence[str]:
        """WILD's question."""
        return (SCREENED,)

    def screen(self, cases: Sequence[Case], unedited: Answers) -> Selection:
        """Cases that the unedited model gets wrong: its answer is neither the target nor an alias."""
        right = unedited.scores(SCREENED, "right")
        kept = tuple(case for case in cases if right.get(case.id) == 0.0)
        known = len(cases) - len(kept)
        return Selection(kept, {"the unedited model answers rightly": known} if known else {})

    def arms(self, cases: Sequence[Case]) -> Mapping[str, Sequence[Edit]]:
        """The target written with the case's own prompt (a question, where the data set has questions)."""
        return {EDITED: [Edit(case.id, case.prompt, case.subject, case.target) for case in cases]}


def stopped_short(case: Case) -> bool:
    """Does one of the stops cut the target, so that no naturally stopped answer equals it or an alias?"""
    answers = [case.target, *case.target_aliases]
    return not any(squad_equals(before_stop(answer, STOPS), answers) for answer in answers)


def where(row: Row) -> dict[str, Any]:
    """Arm and moment of a row's own answers, as arguments for `Answers.of` and `Answers.scores`."""
    moment: Moment = "unedited" if row in UNEDITED_ROWS else "final"
    return {"arm": "" if moment == "unedited" else EDITED, "moment": moment}


def lacking(answers: Answers, field: str) -> bool:
    """Does no case have this field? Its column is then left out."""
    return bool(answers.cases) and not any(getattr(case, field) for case in answers.cases.values())


def within(values: Values, cases: Iterable[str]) -> dict[str, float]:
    """The values of these cases."""
    wanted = set(cases)
    return {case: value for case, value in values.items() if case in wanted}


def asked_as() -> dict[str, Any]:
    """What moves the numbers in all three protocols."""
    return {"prompt": TEMPLATE, "stops": STOPS, "new tokens": NEW_TOKENS, "scorers": SCORERS, "screening": SCREENED}
