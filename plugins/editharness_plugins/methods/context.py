"""The fact in the prompt: no weight changes, the new fact is told before the question.

What a reader of the new fact would answer; it shows what the question format allows. A request gets the facts whose
subject stands in it, the latest last, as "Imagine that <prompt> <target>.\\n<request>".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from editharness.locate.batch import encodable
from editharness.method import Host, Method
from editharness.patch import RouterPatch
from editharness.types import Edit, State, Status, Step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FactsInContext:
    """Puts the facts about a request's subject before it. `config["facts"]`: [subject, sentence], oldest first."""

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    kind: str = "facts_in_context"

    def route(self, context: str) -> tuple[str, str]:
        """The context with its facts in front; the base model answers."""
        told = [sentence for subject, sentence in self.config["facts"] if subject in context]
        return "".join(f"Imagine that {sentence}.\n" for sentence in told) + context, "base"


class InContext(Method[None]):
    """Tells the facts instead of writing them."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """A router over these facts and the earlier ones, which the state carries as UTF-8 JSON."""
        usable, failed = encodable(host, edits)
        statuses = tuple(failed.get(edit.id, Status(edit.id, "done")) for edit in edits)
        if not usable:
            return Step(None, state, statuses)
        facts = [*_unpack(state), *([edit.subject_text, f"{edit.prompt} {edit.target.strip()}"] for edit in usable)]
        return Step(RouterPatch(FactsInContext({"facts": facts})), _pack(facts), statuses)


def _pack(facts: list[list[str]]) -> State:
    import torch

    return {"facts": torch.tensor(list(json.dumps(facts).encode()), dtype=torch.uint8)}


def _unpack(state: State) -> list[list[str]]:
    told = json.loads(bytes(state["facts"].tolist())) if "facts" in state else []
    return [[str(subject), str(sentence)] for subject, sentence in told]
