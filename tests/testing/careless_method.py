"""A method with words in its source that break elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from editharness.method import Host, Method
from editharness.types import Edit, State, Step


class NamesADevice(Method[None]):
    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        print("editing")
        host.model.to("cuda:0")
        return Step(None, state, ())
