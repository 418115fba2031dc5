"""ICE: in-context editing without demonstrations (the zero-shot form of IKE, Zheng et al., EMNLP 2023).

No weight changes: the model reads "New Fact: <x y>\\nPrompt: " before a question x. Published runs tell each test text
the fact that it was made for, which is not defined for many edits, nor for a text that belongs to none. Here the facts
are a memory and a gate decides on the text alone: with c the cosine of two texts' vectors,

    i* = argmax_i c(text, x_i)        the fact of i* is told if c(text, x_i*) > τ, else the text stays as it is

Of equal c the latest edit counts, so a prompt edited twice gets its last answer. The gate is ours. τ and the words'
weights come from the train split: prompts against their paraphrases (told) and neighbours (not told).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from editharness.errors import UsageError
from editharness.method import Host, Method
from editharness.patch import RouterPatch
from editharness.types import Case, Edit, State, Step
from editharness_plugins.methods.options.in_context import IceOptions
from editharness_plugins.methods.retrieval import Embedder, Lexical, Memory, Pairs, Sentences, texts_of
from editharness_plugins.methods.telling import RetrievedFacts, told
from editharness_plugins.methods.texts import (
    Reader,
    pack_json,
    pack_tokenizer,
    positions,
    statement,
    tellable,
    unpack_json,
)

if TYPE_CHECKING:
    from torch import Tensor

O = TypeVar("O", bound=IceOptions)  # noqa: E741
Entry = dict[str, Any]


class InContextEditing(Method[O]):
    """What ICE and IKE share: the memory of facts and its gate."""

    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        """The words' weights, the threshold, the tokenizer, and the demonstrations; UsageError without train cases."""
        if not train:
            raise UsageError(
                "in-context editing takes its threshold and its words' weights from a train split: it is empty"
            )
        tensors: dict[str, Tensor] = {"tokenizer": pack_tokenizer(host.tokenizer)}
        if self.options.embedder == "lexical":
            tensors["weights"] = Lexical.fit(list(texts_of(train))).weights
        embedder = self.embedder(tensors)
        given = self.options.threshold
        threshold = Pairs.of(embedder, train).threshold() if given is None else given
        return {**tensors, "threshold": torch.tensor(threshold), **self.corpus(embedder, train)}

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """A router over these facts and the earlier ones."""
        room = positions(host.model) - self.options.reserve
        facts = {"threshold": float(state["threshold"])}
        usable, statuses = tellable(host, edits, self.asked, Reader(state["tokenizer"]), room, facts)
        if not usable:
            return Step(None, state, statuses)
        after = self.remember(usable, state)
        return Step(RouterPatch(self.router(after, room)), after, statuses)

    def remember(self, edits: Sequence[Edit], state: State) -> State:
        """The state with these facts after the earlier ones."""
        embedder = self.embedder(state)
        vectors = embedder.embed([edit.prompt for edit in edits])
        earlier = Memory.from_tensors(state, "prompts")
        memory = Memory(vectors) if earlier is None else earlier.append(vectors)
        facts: list[Entry] = unpack_json(state["facts"]) if "facts" in state else []
        facts += [{"fact": statement(e.prompt, e.target), "demos": self.demos(embedder, e, state)} for e in edits]
        return {**state, "facts": pack_json(facts), **memory.to_tensors("prompts")}

    def router(self, state: State, room: int) -> RetrievedFacts:
        """The router over all facts of a state."""
        chosen = asdict(self.options)
        config = {
            **{name: chosen[name] for name in ("embedder", "embedder_model", "wording")},
            "order": chosen.get("order", "best_first"),
            "threshold": float(state["threshold"]),
            "room": room,
            "facts": unpack_json(state["facts"]),
            "demos": unpack_json(state["demos"]) if "demos" in state else [],
        }
        tensors = {name: state[name] for name in state if name.startswith(("prompts.", "weights", "tokenizer"))}
        return RetrievedFacts(tensors, config, self.embedder(state))

    def asked(self, edit: Edit) -> str:
        """A fact, and its own prompt as the question."""
        return told(self.options.wording, statement(edit.prompt, edit.target), edit.prompt)

    def embedder(self, tensors: State) -> Embedder:
        """The embedder that the options name; one sentence encoder serves all edits."""
        return Lexical(tensors["weights"]) if self.options.embedder == "lexical" else self._sentences

    @cached_property
    def _sentences(self) -> Sentences:
        return Sentences(self.options.embedder_model)

    def corpus(self, embedder: Embedder, train: Sequence[Case]) -> State:
        """Demonstrations to choose from; ICE has none."""
        return {}

    def demos(self, embedder: Embedder, edit: Edit, state: State) -> list[int]:
        """The demonstrations for a fact, best first."""
        return []


class Ice(InContextEditing[IceOptions]):
    """Zero-shot in-context editing."""
