"""Negated prompts: the data set's own, else the table of templates, else rules; None where none of them fits.

What `negate` returns equals the prompt up to and including the subject, so that a method keyed on the subject's last
token sees the same key for "X is" and "X is not". A rule that cannot tell which verb carries the sentence refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from editharness.data.clauses import negate_tail
from editharness.data.question_form import parse
from editharness.data.templates import NEGATED_TEMPLATES, template_of
from editharness.types import Span

How = Literal["supplied", "table", "rule"]


@dataclass(frozen=True)
class Negation:
    """A negated prompt and where it comes from; `rule` names the table's or our own rule, or is "supplied"."""

    prompt: str
    how: How
    rule: str


def negate(prompt: str, subject: Span, *, supplied: str | None = None) -> Negation | None:
    """Negate a prompt that is completed by its answer ("The capital of Kenya is"); None where it cannot be done.

    A supplied prompt wins if it names the subject (a method must find it) and differs from `prompt`.
    """
    own = (supplied or "").strip()
    if own and own != prompt.strip() and prompt[subject[0] : subject[1]] in own:
        return Negation(own, "supplied", "supplied")
    row = NEGATED_TEMPLATES.get(template_of(prompt, subject))
    if row is not None:
        return Negation(prompt[: subject[1]] + row.tail, "table", row.rule)
    return negate_by_rule(prompt, subject)


def negate_by_rule(prompt: str, subject: Span) -> Negation | None:
    """As `negate`, by the rules alone."""
    kept = prompt[: subject[1]]
    made = negate_tail(prompt[: subject[0]], prompt[subject[1] :].rstrip())
    return None if made is None else Negation(kept + made.text, "rule", made.rule)


def negate_question(question: str, subject: Span) -> Negation | None:
    """Negate a question in place ("What university did X not attend?"); None where its verb is not recognised.

    Unlike `negate`, "not" may come before the subject ("Who is not the mother of X?"): the subject's key then changes.
    """
    parsed = parse(question, subject)
    if parsed is None:
        return None
    made = parsed.negated()
    return None if made is None else Negation(made.text, "rule", made.rule)
