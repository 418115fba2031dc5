"""No edit at all: the row that every other is read against."""

from __future__ import annotations

from collections.abc import Sequence

from editharness.method import Host, Method
from editharness.types import Edit, State, Status, Step


class NoEdit(Method[None]):
    """Leaves the model as it is; every edit is skipped."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """No patch."""
        return Step(None, state, tuple(Status(edit.id, "skipped", "the control without an edit") for edit in edits))
