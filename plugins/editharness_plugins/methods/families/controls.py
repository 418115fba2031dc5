"""The rows that every other is read against: no edit, and the fact told in the prompt."""

from __future__ import annotations

from editharness.types import MethodSpec
from editharness_plugins.methods.families.places import CODE

METHODS: tuple[MethodSpec, ...] = (
    MethodSpec(
        name="none",
        title="no edit",
        paper="",
        ref=f"{CODE}.none:NoEdit",
        effect="none",
        note="control: the unedited model",
    ),
    MethodSpec(
        name="context",
        title="fact in the prompt",
        paper="",
        ref=f"{CODE}.context:InContext",
        effect="router",
        recipe=f"{CODE}.context:FactsInContext",
        note="control: no weight changes, the facts about a request's subject are told before it",
    ),
)
