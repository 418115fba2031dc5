"""What lm-eval's tasks are asked about: the documents of a running plan, or, in a stock lm-eval run, a whole data set.

A document is one question about one case: its text, the target, the old answer, and `_state`, its place in the
timeline (arm, step, kind), which EditedLM reads. Stock models ignore it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, get_args

from editharness.data.load import load_cases
from editharness.data.negated import negated_case
from editharness.errors import DataError, UsageError
from editharness.registry import load_plugins
from editharness.types import Case, StateId

Form = Literal["prompt", "negated", "paraphrase", "neighbour"]
Document = dict[str, Any]
Plan = Mapping[tuple[str, str], Sequence[Document]]
UNEDITED: StateId = ("", 0, "carried")

_PLAN: ContextVar[Plan | None] = ContextVar("editharness_plan", default=None)


@contextmanager
def planned(plan: Plan) -> Iterator[None]:
    """While this is open, the tasks of (data set, form) get the documents of `plan` instead of the whole data set."""
    token = _PLAN.set(plan)
    try:
        yield
    finally:
        _PLAN.reset(token)


def documents(data: str, form: Form, **metadata: Any) -> dict[str, Any]:
    """lm-eval's `custom_dataset`: {"test": datasets.Dataset}.

    In a stock lm-eval run a local file is named by `--metadata '{"mcf": "FILE"}'`.
    """
    import datasets

    plan = _PLAN.get()
    rows = list(plan.get((data, form), ())) if plan is not None else stock_documents(data, form, metadata.get(data))
    if not rows:
        raise DataError(f"data set {data!r} has no {form} questions to ask")
    return {"test": datasets.Dataset.from_list(rows)}


def stock_documents(data: str, form: Form, path: str | None = None) -> list[Document]:
    """Every question of this form over all test cases of a data set, for one model as it is."""
    registry = load_plugins()
    offline = bool(os.environ.get("HF_HUB_OFFLINE"))
    cases = load_cases(registry, data, Path(path) if path else None, offline=offline).cases
    made = (negated_case(case) if form == "negated" else case for case in cases if case.split == "test")
    return [doc for case in made if case is not None for doc in case_documents(case, form)]


def case_documents(
    case: Case, form: str, state: StateId = UNEDITED, arm: str = "", moments: Sequence[str] = ()
) -> list[Document]:
    """The questions of one form about one case at one place in the timeline, which may be several moments at once."""
    return [
        {
            "case_id": case.id,
            "item": item,
            "prompt": prompt,
            "target": target,
            "old": old,
            "aliases": list(aliases),
            "_state": [str(part) for part in state],  # Arrow wants one type per list
            "_arm": arm,
            "_moments": list(moments),
        }
        for item, (prompt, target, old, aliases) in enumerate(_questions(case, form))
    ]


def _questions(case: Case, form: str) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    if form == "prompt":
        yield case.prompt, case.target, case.old, case.target_aliases
    elif form == "negated":
        if case.negated_prompt is None:
            raise DataError(f"case {case.id} has no negated prompt")
        yield case.negated_prompt, case.target, case.old, case.target_aliases
    elif form == "paraphrase":
        for prompt in case.paraphrases:
            yield prompt, case.target, case.old, case.target_aliases
    elif form == "neighbour":
        for near in case.neighbours:
            yield near.prompt, near.answer, "", near.aliases
    else:
        raise UsageError(f"question form {form!r}: use one of {', '.join(get_args(Form))}")
