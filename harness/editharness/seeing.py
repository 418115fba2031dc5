"""What a method may see of a case: prompt, subject and target; more only where its spec declares it.

`old`             the true answer
`unrelated_text`  a statement about another subject, from the train split
`forms`           (prompt, answer) in wordings that no probe uses, complementary negative statements included
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from editharness.errors import UsageError
from editharness.types import Case, Edit, MethodSpec, Question, Sees


def show_arms(
    arms: Mapping[str, Sequence[Edit]], cases: Sequence[Case], sees: Collection[Sees], train: Sequence[Case]
) -> dict[str, list[Edit]]:
    """The edits of every arm with the fields that `sees` names filled in; unrelated texts come from `train`."""
    by_id = {case.id: case for case in cases}
    return {name: [_shown(edit, by_id[edit.id], sees, train) for edit in edits] for name, edits in arms.items()}


def _shown(edit: Edit, case: Case, sees: Collection[Sees], train: Sequence[Case]) -> Edit:
    return replace(
        edit,
        old=case.old if "old" in sees else None,
        unrelated_text=_unrelated(edit, train) if "unrelated_text" in sees else None,
        forms=forms(case, negated=edit.negated) if "forms" in sees else (),
    )


def forms(case: Case, *, negated: bool) -> tuple[tuple[str, str], ...]:
    """The case's training wordings with the answers that the edit makes right.

    After a positive edit plain prompts ask for the target, negated ones for what it no longer is (the old answer), and
    a verdict is true of the target and false of the old answer; after a negated edit it is the other way round.
    """
    plain, denied = (case.old, case.target) if negated else (case.target, case.old)
    found: list[tuple[str, str]] = []
    for kind, prompt in case.training_forms:
        if kind == "judged":
            found += [(prompt.replace("{}", plain), "true"), (prompt.replace("{}", denied), "false")]
        else:
            found.append((prompt, plain if kind == "plain" else denied))
    return tuple((prompt, answer) for prompt, answer in found if answer)


def _unrelated(edit: Edit, train: Sequence[Case]) -> str:
    """A train case's prompt and answer; which one depends on the edit alone."""
    place = int.from_bytes(hashlib.sha256(edit.id.encode()).digest()[:8], "big") % len(train)
    return f"{train[place].prompt} {train[place].old or train[place].target}"


def training_cases(spec: MethodSpec, data: str, cases: Sequence[Case], edited: Sequence[Case]) -> tuple[Case, ...]:
    """The cases a method may train on: none that shares a subject with an edit, and no neighbour that names one.

    Raises UsageError where the method needs them and there are none.
    """
    taken = {case.subject_text.casefold() for case in edited}
    found = tuple(_without(taken, case) for case in cases if case.subject_text.casefold() not in taken)
    if not found and needs_training(spec):
        raise UsageError(
            f"method {spec.name!r} needs cases to train on, and data set {data!r} has no train split apart from the "
            f"edits: give a file of other cases with --train FILE"
        )
    return found


def _without(subjects: Collection[str], case: Case) -> Case:
    """The case without the neighbours and two-hop questions that name one of these subjects."""

    def kept(questions: tuple[Question, ...]) -> tuple[Question, ...]:
        return tuple(q for q in questions if not any(subject in q.prompt.casefold() for subject in subjects))

    return replace(case, neighbours=kept(case.neighbours), portability=kept(case.portability))


def needs_training(spec: MethodSpec) -> bool:
    """Whether a method sees cases of the train split at all."""
    return spec.trains or "unrelated_text" in spec.sees
