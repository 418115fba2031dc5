"""One question of a task, and what a made-up model would say to it: everything that the checks of a task look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from editharness.asking import quiet
from editharness.data.load import editable_cases, load_cases
from editharness.documents import Document, case_documents, planned
from editharness.errors import NotCachedError
from editharness.registry import Registry
from editharness.task_index import TaskFile
from editharness.types import Case

STAND_IN = "pocket"
WRONG = "Xyzzyx"
ROLLING = "loglikelihood_rolling"
VERDICTS = ("true", "false", "yes", "no")
LOOKED_THROUGH = 200
"""How many cases are tried for one that the form has a question about."""


@dataclass
class Subject:
    """A task as its YAML declares it, with the folders to load it from."""

    task: TaskFile
    registry: Registry
    folders: tuple[Path, ...]

    @cached_property
    def stand_in(self) -> str:
        """The name "pocket" where the task's own data set is not on this machine, else ""."""
        try:
            _ = self._own
        except NotCachedError:
            return STAND_IN
        return ""

    @property
    def place(self) -> str:
        """What it is asked about, in words."""
        named = self.task.arguments.get("data")
        if named not in self.registry.datasets:
            return "its first document"
        return f"pocket's first case ({named} is not on this machine)" if self.stand_in else f"{named}'s first case"

    @cached_property
    def _own(self) -> Sequence[Case]:
        return editable_cases(load_cases(self.registry, str(self.task.arguments["data"]), offline=True), 0)

    @cached_property
    def documents(self) -> list[Document]:
        """The questions about the first case that has some; none for a task that is not about cases."""
        form = self.task.arguments.get("form")
        if not form:
            return []
        cases = self._substitutes() if self.stand_in else self._own
        return next(filter(None, (case_documents(case, str(form)) for case in cases[:LOOKED_THROUGH])), [])

    def _substitutes(self) -> Sequence[Case]:
        """Pocket's first cases, then one that has what pocket's lack: a statement that is not its prompt."""
        cases = editable_cases(load_cases(self.registry, STAND_IN, offline=True), 0)[: LOOKED_THROUGH - 1]
        return [*cases, replace(cases[0], statement="They say that {} is the answer.")]

    @cached_property
    def loaded(self) -> Any:
        """lm-eval's own task object, with the one document where it is about a case."""
        from lm_eval.tasks import TaskManager

        key = (str(self.task.arguments.get("data")), str(self.task.arguments.get("form")))
        with quiet(), planned({key: self.documents} if self.documents else {}):
            manager = TaskManager(include_defaults=False, include_path=[str(folder) for folder in self.folders])
            return manager.load([self.task.name])["tasks"][self.task.name]

    @cached_property
    def doc(self) -> Document:
        """The document that is asked."""
        return dict(
            next(iter(self.loaded.test_docs() if self.loaded.has_test_docs() else self.loaded.validation_docs()))
        )

    @cached_property
    def requests(self) -> Sequence[Any]:
        """The requests that it makes of a model."""
        context = self.loaded.fewshot_context(self.doc, 0)
        made = self.loaded.construct_requests(self.doc, context, metadata=(self.task.name, 0, 1))
        return made if isinstance(made, list) else [made]

    def scored(self, said: str) -> dict[str, Any]:
        """The scores of an answer."""
        return dict(self.loaded.process_results(self.doc, [_reply(request, said) for request in self.requests]))

    @cached_property
    def wrong(self) -> dict[str, Any]:
        """The scores of an answer that is surely wrong."""
        return self.scored(WRONG)

    @cached_property
    def expected(self) -> str:
        """The expected answer: what doc_to_target gives, else the first text at hand that scores otherwise."""
        found = [text.strip() for text in self._texts() if text.strip()]
        return next((text for text in found if self.scored(text) != self.wrong), found[0])

    def _texts(self) -> Iterator[str]:
        target = self.loaded.doc_to_target(self.doc)
        # an int is the place of a choice
        yield str(self.loaded.doc_to_choice(self.doc)[target] if isinstance(target, int) else target)
        for value in self.doc.values():
            yield from (text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str))
        yield from VERDICTS


def _reply(request: Any, said: str) -> Any:
    """What a model that says `said` would give to one request."""
    if request.request_type == ROLLING:
        return -1000.0 if said == WRONG else -10.0
    if request.request_type == "generate_until":
        return f" {said}."
    return (-0.5, True) if str(request.args[1]).strip() == said else (-20.0, False)
