"""What lm-eval's tasks are asked about: the documents of a running plan, or, in a stock lm-eval run, a whole data set.

A document is one question about one case: its text, the target, the old answer, and `_state`, its place in the
timeline (arm, step, kind), which EditedLM reads. Stock models ignore it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from editharness.data.load import editable_cases, load_cases
from editharness.errors import DataError
from editharness.forms import find_form
from editharness.registry import load_plugins
from editharness.types import Case, StateId

Document = dict[str, Any]
Plan = Mapping[tuple[str, str], Sequence[Document]]
Render = Callable[[str], str]
"""A user's message as the model's chat template writes it, up to where the answer begins."""
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


def documents(data: str, form: str, **metadata: Any) -> dict[str, Any]:
    """lm-eval's `custom_dataset`: {"test": datasets.Dataset}.

    In a stock lm-eval run a local file is named by `--metadata '{"mcf": "FILE"}'`. Of the data set that the model
    `editharness` was edited with (`edited`, `edits`, `seed`: its model arguments), only the facts that it wrote are
    asked about.
    """
    import datasets

    plan = _PLAN.get()
    rows = list(plan.get((data, form), ())) if plan is not None else _stock(data, form, metadata)
    if not rows:
        raise DataError(f"data set {data!r} has no {form} questions to ask")
    return {"test": datasets.Dataset.from_list(rows)}


def stock_documents(
    data: str, form: str, path: str | None = None, facts: int | None = None, seed: int = 0
) -> list[Document]:
    """Every question of this form over the test cases of a data set (or its first `facts`), for one model as it is."""
    registry = load_plugins()
    offline = bool(os.environ.get("HF_HUB_OFFLINE"))
    found = load_cases(registry, data, Path(path) if path else None, offline=offline)
    return [doc for case in editable_cases(found, seed)[:facts] for doc in case_documents(case, form)]


def _stock(data: str, form: str, metadata: Mapping[str, Any]) -> list[Document]:
    if "edits" not in metadata or metadata.get("edited", "pocket") != data:
        return stock_documents(data, form, metadata.get(data))
    return stock_documents(data, form, metadata.get(data), int(metadata["edits"]), int(metadata.get("seed", 0)))


def case_documents(
    case: Case, form: str, state: StateId = UNEDITED, arm: str = "", moments: Sequence[str] = (), edits: int = 0,
    render: Render | None = None,
) -> list[Document]:  # fmt: skip
    """The questions of one form about one case at one place in the timeline, which may be several moments at once.

    `edits`: how many facts are written there. `render` writes the prompts of a chat form; without it they stay plain.
    """
    found = find_form(form)
    chat = render is not None and found.chat
    return [
        {
            "case_id": case.id,
            "item": item,
            "kind": ask.kind,
            "form": form,
            "chat": chat,
            "prompt": render(ask.prompt) if chat and render is not None else found.cue.format(ask.prompt),
            "target": ask.target,
            "old": ask.old,
            "aliases": list(ask.aliases),
            "old_aliases": list(ask.old_aliases),
            "_state": [str(part) for part in state],  # Arrow wants one type per list
            "_arm": arm,
            "_moments": list(moments),
            "_edits": edits,
        }
        for item, ask in enumerate(found.asks(case))
    ]


def wanted(doc: Document) -> list[str]:
    """Which answers' likelihood a document asks for, in order: "target", "old" where there is one."""
    return [name for name in find_form(doc["form"]).likelihoods if doc[name]]
