"""Forms of questions: what is asked about a case, which answers' likelihood is wanted, how what is said is scored.

A task's YAML names its form in `dataset_kwargs`: one of those below, or "package.module:NAME" of a plugin's own.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from editharness.data.negated import negated_case
from editharness.errors import UsageError
from editharness.scoring import score_constant, score_texts
from editharness.types import Case

Score = Callable[[Mapping[str, Any], str], dict[str, float]]
"""(document, what was said) -> numbers."""

Wanted = Literal["target", "old"]


@dataclass(frozen=True)
class Ask:
    """One question: its text, the answer that it is about and its other names, the old answer if that counts too.

    `kind` tells apart questions of one form that a protocol counts apart ("new", "old", "other").
    """

    prompt: str
    target: str
    old: str = ""
    aliases: tuple[str, ...] = ()
    old_aliases: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True)
class Form:
    """How a question is asked and scored.

    `asks` gives the questions about a case (none where it lacks what they need). `likelihoods`: whose probability is
    asked after the prompt; `generates`: whether the model also answers freely. `score` scores the free answer, `null`
    an answer that was given without a model. `chat`: the prompt is a user's message, rendered with the tokenizer's own
    chat template where it has one; `cue` puts it to a model that has none. `matches`: share of target tokens that are
    right, under teacher forcing ("match") and in the free answer up to the target's length ("decoded"), is told too
    (EditedLM only). `drifts`: how far the next word after the prompt has moved from the unedited model's is told too
    ("kl", "moved"; EditedLM only), where the target's likelihood is asked, and of the unedited model as well.
    """

    asks: Callable[[Case], Iterable[Ask]]
    likelihoods: tuple[Wanted, ...] = ("target", "old")
    generates: bool = True
    score: Score = score_texts
    null: Score = score_constant
    chat: bool = False
    cue: str = "{}"
    matches: bool = False
    drifts: bool = False


def prompts(case: Case) -> Iterator[Ask]:
    """The case's own prompt."""
    yield _about(case, case.prompt)


def negations(case: Case) -> Iterator[Ask]:
    """The negated prompt: supplied, by table or by rule; none where no negation can be made."""
    made = case if case.negated_prompt is not None else negated_case(case)
    if made is not None and made.negated_prompt is not None:
        yield _about(case, made.negated_prompt)


def paraphrases(case: Case) -> Iterator[Ask]:
    """Other wordings of the prompt."""
    for prompt in case.paraphrases:
        yield _about(case, prompt)


def questions(case: Case) -> Iterator[Ask]:
    """The case's question, where it has one."""
    if case.question:
        yield _about(case, case.question)


def neighbours(case: Case) -> Iterator[Ask]:
    """Facts that must stay as they are (locality)."""
    for near in case.neighbours:
        yield Ask(near.prompt, near.answer, aliases=near.aliases)


def portability(case: Case) -> Iterator[Ask]:
    """Questions whose answer follows from the new fact."""
    for far in case.portability:
        yield Ask(far.prompt, far.answer, aliases=far.aliases)


def _about(case: Case, prompt: str) -> Ask:
    return Ask(prompt, case.target, case.old, case.target_aliases, case.old_aliases)


FORMS: Mapping[str, Form] = {
    "prompt": Form(prompts),
    "negated": Form(negations),
    "paraphrase": Form(paraphrases),
    "question": Form(questions),
    "neighbour": Form(neighbours),
    "portability": Form(portability),
}


def find_form(name: str) -> Form:
    """The form of that name, or what "package.module:NAME" refers to; raises UsageError."""
    if name in FORMS:
        return FORMS[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        near = difflib.get_close_matches(name, FORMS, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else f": use one of {', '.join(FORMS)}, or package.module:NAME"
        raise UsageError(f"question form {name!r}{meant}")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"question form {name!r} cannot be imported: {error}") from error
    if not isinstance(found, Form):
        raise UsageError(f"question form {name!r} is a {type(found).__name__}, not an editharness.forms.Form")
    return found
