"""A case with its negated prompt: the data set's own, else the template table, else the rules; None where none fits."""

from __future__ import annotations

from dataclasses import replace

from editharness.data.negation import negate, negate_question
from editharness.types import Case


def negated_case(case: Case) -> Case | None:
    """The case with `negated_prompt` filled in and a tag "negation:<how>", or None where it cannot be negated.

    A prompt that is a question ("What university did X attend?") is negated as a question.
    """
    if case.question == case.prompt and case.negated_prompt is None:
        made = negate_question(case.prompt, case.subject)
    else:
        made = negate(case.prompt, case.subject, supplied=case.negated_prompt)
    if made is None or made.prompt == case.prompt:
        return None
    return replace(case, negated_prompt=made.prompt, tags=case.tags | {f"negation:{made.how}"})


def how_negated(case: Case) -> str:
    """How `negated_case` made the prompt: supplied, table or rule."""
    found = [tag.removeprefix("negation:") for tag in case.tags if tag.startswith("negation:")]
    return found[0] if found else "none"
