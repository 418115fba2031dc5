"""SERAC: semi-parametric editing with a retrieval-augmented counterfactual model (Mitchell et al., ICML 2022).

No weight changes: edits (x, y) are cached. A scope classifier compares a text q with each, and a second, small model r
answers for the texts that are in scope of one, with that edit before them (arXiv 2206.06520, section 3):

    s_i = exp(−‖c(q) − c(x_i)‖²),  i* = argmax_i s_i        r("x_i* y_i* q") if s_i* > ½, else the base model on q

`prepare` trains c and r on the train split, each with its own supervised loss as in the paper: binary cross-entropy of
s (paraphrases in scope, neighbours out), and −log p_r(y | "x y q"). Subjects and answers are mostly exchanged there for
others, so that r learns to read an answer off the edit instead of learning the facts of the train split.

Otherwise than the public port (EasyEdit): c sees x alone, where the port cuts the last word off "x y", which leaves a
part of a longer answer in it, and it sees the question without the answer, where the port's includes it; routing is
hard, the port's training mixes both models' distributions; edits of earlier batches stay in the cache, where the port
keeps the last call's only; nothing depends on a model's name. Of equal s the latest edit counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from editharness.errors import UsageError
from editharness.method import Host, Method
from editharness.patch import RouterPatch
from editharness.types import Case, Edit, State, Step
from editharness_plugins.methods.options.in_context import SeracOptions
from editharness_plugins.methods.serac_models import scores, small_config, small_model, vectors
from editharness_plugins.methods.serac_training import train_both
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
    from torch import Tensor, nn

COUNTERFACTUAL = "counterfactual"


@dataclass(frozen=True)
class ScopedEdits:
    """Sends texts in scope of a cached edit to the counterfactual model, with the edit before them.

    tensors: `table` [v, d] and `cache` [n, d] of the classifier, `tokenizer`, `model.*` of the counterfactual model.
    config: `facts` (texts "x y", oldest first), `model` (its configuration), `room`, the tokens a context may have.
    """

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]
    kind: str = "scoped_edits"

    def route(self, context: str) -> tuple[str, str]:
        """The edit's text, a space and the context, for "counterfactual"; or the context as it is, for "base"."""
        found = self.find(context)
        text = "" if found is None else f"{self.config['facts'][found]} {context}"
        if found is None or not self._reader.fits(text, self.config["room"]):
            return context, "base"
        return text, COUNTERFACTUAL

    def find(self, context: str) -> int | None:
        """The edit that a text is in scope of; None where s is at most a half for all."""
        found = scores(vectors(self.tensors["table"], [self._reader.ids(context)]), self.tensors["cache"])
        latest = len(found) - 1 - int(found.flip(0).argmax())
        return latest if float(found[latest]) > 0.5 else None

    def answerer(self, name: str, base: nn.Module) -> nn.Module:
        """The counterfactual model; `base` is not needed."""
        model: nn.Module = small_model(self.config["model"])
        parts = {n.removeprefix("model."): value for n, value in self.tensors.items() if n.startswith("model.")}
        with torch.no_grad():
            for part, parameter in model.named_parameters():
                parameter.copy_(parts[part])
        return model.requires_grad_(False).eval()

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self.tensors["tokenizer"])


class Serac(Method[SeracOptions]):
    """SERAC; an edit is an entry in the cache."""

    def prepare(self, host: Host, train: Sequence[Case]) -> State:
        """Train the scope classifier and the counterfactual model."""
        if not train:
            raise UsageError("serac has nothing to train on: the train split is empty")
        return {**train_both(host, train, self.options), "tokenizer": pack_tokenizer(host.tokenizer)}

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """A router over these edits and the earlier ones."""
        reader, room = Reader(state["tokenizer"]), positions(host.model) - self.options.reserve
        usable, statuses = tellable(host, edits, self.asked, reader, room, {})
        if not usable:
            return Step(None, state, statuses)
        after = self.remember(usable, state, reader)
        tensors = {name: value for name, value in after.items() if name != "facts"}
        config = {"facts": unpack_json(after["facts"]), "model": small_config(host, self.options), "room": room}
        return Step(RouterPatch(ScopedEdits(tensors, config)), after, statuses)

    def remember(self, edits: Sequence[Edit], state: State, reader: Reader) -> State:
        """The state with these edits after the earlier ones."""
        cache = vectors(state["table"], [reader.ids(edit.prompt) for edit in edits])
        if "cache" in state:
            cache = torch.cat([state["cache"], cache])
        facts = unpack_json(state["facts"]) if "facts" in state else []
        facts += [statement(edit.prompt, edit.target) for edit in edits]
        return {**state, "cache": cache, "facts": pack_json(facts)}

    def asked(self, edit: Edit) -> str:
        """What the counterfactual model reads when an edit is asked with its own prompt."""
        return f"{statement(edit.prompt, edit.target)} {edit.prompt}"
