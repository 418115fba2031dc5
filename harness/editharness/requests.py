"""What EditedLM sorts requests by: who answers them, and the row that a continuation is read off."""

from __future__ import annotations

from dataclasses import dataclass, field

from lm_eval.api.instance import Instance

from editharness.documents import UNEDITED
from editharness.errors import UsageError
from editharness.patch.values import AnsweringRouter
from editharness.types import StateId

BASE = "base"
"""The name by which a router means the model itself."""


@dataclass(frozen=True)
class Group:
    """Requests with the same model: a place, and there the base model or a router's second one (named, by identity).

    `source`: where that router first decided, which names it from one process to the next.
    """

    place: StateId
    name: str = BASE
    identity: int = 0
    router: AnsweringRouter | None = field(default=None, compare=False)
    routed: bool = False
    source: StateId | None = field(default=None, compare=False)
    together: bool = False

    @property
    def unedited(self) -> bool:
        """Whether these requests are answered by the unedited model as they stand."""
        return self.place == UNEDITED and not self.routed and not self.together


TOGETHER = Group(UNEDITED, together=True)
"""Requests at places of their own: the unedited model, every row with its own patch."""


@dataclass(frozen=True)
class Row:
    """A row to score: what goes in (the last token of a continuation does not), how much of it is prompt.

    `watched`: the prompt whose next word's drift is wanted; `place`: where the row's own edit stands, if it has one.
    """

    ids: tuple[int, ...]
    prompt: int
    watched: str | None
    place: StateId | None

    @classmethod
    def of(
        cls, context: list[int], continuation: list[int], longest: int, watched: str | None, place: StateId | None
    ) -> Row:
        """Cut on the left to what the model can take, as HFLM does; raises UsageError where nothing can be scored."""
        if not context or not continuation:
            empty = "context" if not context else "continuation (it merged with the context: begin it with a space)"
            raise UsageError(f"a request has no tokens in its {empty}")
        if len(continuation) > longest:
            raise UsageError(f"a continuation has {len(continuation)} tokens, the model takes {longest}")
        ids = (*context, *continuation)[-(longest + 1) : -1]
        return cls(ids, len(ids) - len(continuation) + 1, watched, place)


def with_context(request: Instance, context: str) -> Instance:
    """The request with another context; the document stays as it is."""
    return Instance(
        request_type=request.request_type,
        doc=request.doc,
        arguments=(context, *request.args[1:]),
        idx=request.idx,
        metadata=request.metadata,
    )
