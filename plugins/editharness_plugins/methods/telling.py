"""The router of ICE and IKE: the stored fact that a text is about is told before it; any other text is left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from editharness_plugins.methods.retrieval import Embedder, Lexical, Memory, Sentences
from editharness_plugins.methods.texts import Reader

if TYPE_CHECKING:
    from torch import Tensor

WORDINGS: Mapping[str, tuple[str, str]] = {
    "new_fact": ("New Fact: ", "\nPrompt: "),
    "imagine": ("Imagine that ", ".\n"),
}
"""What stands before a fact, and between it and the text that it is told to."""


def told(wording: str, fact: str, text: str) -> str:
    """A fact, then the text."""
    before, between = WORDINGS[wording]
    return f"{before}{fact}{between}{text}"


def embedder_for(kind: str, model: str, tensors: Mapping[str, Tensor]) -> Embedder:
    """The embedder of an option's name; the lexical one needs its tensor `weights`."""
    return Lexical(tensors["weights"]) if kind == "lexical" else Sentences(model)


@dataclass(frozen=True)
class RetrievedFacts:
    """Tells a text the one stored fact whose prompt is most similar to it, the latest of equal ones.

    tensors: `weights` (lexical embedder), `tokenizer`, `prompts.*` (vectors of the facts' prompts, oldest first).
    config: `facts` [{"fact", "demos"}] with indices into `demos` (best first), `threshold`, `embedder`,
    `embedder_model`, `wording`, `order`, and `room`, the tokens that a context may have.
    """

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]
    embedder: Embedder | None = field(default=None, compare=False, repr=False)
    kind: str = "retrieved_facts"

    def route(self, context: str) -> tuple[str, str]:
        """The context, told the fact it is about if there is one; the base model answers."""
        found = self.find(context)
        return (context if found is None else self.tell(self.config["facts"][found], context)), "base"

    def find(self, context: str) -> int | None:
        """The fact that a text is about; None where none is similar enough."""
        place, cosine = self._memory.nearest(self._embedder.embed([context]))
        return place if cosine > self.config["threshold"] else None

    def tell(self, entry: Mapping[str, Any], context: str) -> str:
        """Demonstrations, fact and text; the least similar demonstrations are left out until it fits, then the fact."""
        demos = [self.config["demos"][place] for place in entry["demos"]]
        for count in range(len(demos), -1, -1):
            text = "".join(self._ordered(demos[:count])) + told(self.config["wording"], entry["fact"], context)
            if self._reader.fits(text, self.config["room"]):
                return text
        return context

    def _ordered(self, demos: Sequence[str]) -> Sequence[str]:
        return demos if self.config["order"] == "best_first" else demos[::-1]

    @cached_property
    def _embedder(self) -> Embedder:
        made = self.embedder
        return made or embedder_for(self.config["embedder"], self.config["embedder_model"], self.tensors)

    @cached_property
    def _memory(self) -> Memory:
        found = Memory.from_tensors(self.tensors, "prompts")
        assert found is not None, "a router is made with at least one fact"
        return found

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.tensors["tokenizer"])
