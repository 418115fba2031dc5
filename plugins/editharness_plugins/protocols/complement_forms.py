"""The questions of `negation_plus`: each kind of complement pair as a form, its two questions told apart by `kind`.

In five kinds the edit's target is what is asked for: right where the pair affirms, wrong where it denies. A
contradictory pair is asked as two yes/no questions: "yes" is right for the affirming one, wrong for the denying one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from editharness.data.adverbs import Refusal
from editharness.data.complements import KINDS, Complement, Kind, complement
from editharness.data.negated_questions import negated_question
from editharness.forms import Ask, Form
from editharness.types import Case

AFFIRMED, DENIED = "affirmed", "denied"
YES, NO = "yes", "no"
QUESTION: Final = "question"
CUE: Final = "Please answer the question:\n\nQ: {}\nA:"
"""How a question is put (arXiv 2502.11177, figure 6)."""


def pair_of(case: Case, kind: Kind) -> Iterator[Ask]:
    """The affirming and the denying prompt of one kind, about the target; none where no pair can be made."""
    made = complement(case, kind)
    if not isinstance(made, Refusal):
        yield _about(case, made.affirming, AFFIRMED)
        yield _about(case, made.denying, DENIED)


def swapped_contrast(case: Case) -> Iterator[Ask]:
    """The contrast pair with old and new answer changed places, as the unedited model has to complete it."""
    return pair_of(swapped(case), "contrast")


def contradictory_pair(case: Case) -> Iterator[Ask]:
    """A yes/no question about the target's class, and one about the old answer's, which the target is not in."""
    made = complement(case, "contradictory")
    if not isinstance(made, Refusal):
        yield Ask(made.affirming.prompt, YES, NO, kind=AFFIRMED)
        yield Ask(made.denying.prompt, YES, NO, kind=DENIED)


def question_pair(case: Case) -> Iterator[Ask]:
    """The case's question and its negation; none where it cannot be negated."""
    made = negated_question(case)
    if case.question and not isinstance(made, Refusal):
        for kind, text in ((AFFIRMED, case.question), (DENIED, made.question)):
            yield Ask(text, case.target, case.old, case.target_aliases, case.old_aliases, kind)


def swapped(case: Case) -> Case:
    """The case as it was before the edit: the old answer is the target, and the new one is what it is not."""
    return replace(
        case, target=case.old, old=case.target, target_aliases=case.old_aliases, old_aliases=case.target_aliases
    )


def yes_or_no(text: str) -> str:
    """ "yes" or "no" where that is the first word of the text, in any case; else ""."""
    first = text.strip().casefold().split(maxsplit=1)[:1]
    word = first[0].strip(".,;:!'\"") if first else ""
    return word if word in (YES, NO) else ""


def score_yes_or_no(doc: Mapping[str, object], text: str) -> dict[str, float]:
    """Which of the two words the text begins with; all 0 where it is neither."""
    said = yes_or_no(text)
    return {YES: float(said == YES), NO: float(said == NO), "read": float(said != "")}


def _about(case: Case, asked: Complement, kind: str) -> Ask:
    return Ask(asked.prompt, case.target, case.old, case.target_aliases, case.old_aliases, kind)


NEVER = Form(partial(pair_of, kind="never"))
NO_LONGER = Form(partial(pair_of, kind="no_longer"))
FALSE_THAT = Form(partial(pair_of, kind="false_that"))
ANTONYM = Form(partial(pair_of, kind="antonym"))
CONTRAST = Form(partial(pair_of, kind="contrast"))
CONTRAST_OLD = Form(swapped_contrast, generates=False)
NEGATED_QUESTION = Form(question_pair, cue=CUE)
CONTRADICTORY = Form(contradictory_pair, score=score_yes_or_no, null=score_yes_or_no, cue=CUE)

ASKED: Final[Mapping[str, Form]] = {
    **dict(zip(KINDS, (NEVER, NO_LONGER, FALSE_THAT, ANTONYM, CONTRAST, CONTRADICTORY), strict=True)),
    QUESTION: NEGATED_QUESTION,
}
"""Kind -> its form; the ones of `complements`, then the negated question."""

TASKS = {kind: f"negation_plus_{{data}}_{kind}" for kind in ASKED}
OLD_TASK = "negation_plus_{data}_contrast_old"
YES_NO: Final = "contradictory"
IN_MEAN = tuple(kind for kind in TASKS if kind != YES_NO)
"""The kinds that the overall means are over: those whose answer is the target."""
