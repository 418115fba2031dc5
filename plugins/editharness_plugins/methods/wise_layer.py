"""WISE's side memories as a layer that chooses among them, per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers.activations import ACT2FN

from editharness.errors import MethodError
from editharness.rows import Rows, WholeSequence, rows
from editharness_plugins.methods.memory import Memory


def project(layer: nn.Module, weight: Tensor, hidden: Tensor) -> Tensor:
    """The layer's output [..., d_out] with `weight` in the place of its own; a bias stays."""
    found: Tensor = functional_call(layer, {"weight": weight.to(hidden.dtype)}, (hidden,))
    return found


@dataclass(frozen=True)
class Scorer:
    """How far a memory's activation is from the layer's own: Δ = ‖act(W x) − act(W' x)‖₂, over a row's tokens."""

    activation: str
    long: int | None

    def score(self, own: Tensor, other: Tensor, scope: Tensor) -> Tensor:
        """[B] fp32 from outputs [B, T, d_out] over the columns that count [B, T] bool: mean, or largest of many."""
        act = ACT2FN[self.activation]
        distance = (act(own.float()) - act(other.float())).norm(dim=-1).masked_fill(~scope, 0.0)
        tokens = scope.sum(dim=1)
        mean = distance.sum(dim=1) / tokens.clamp(min=1)
        return mean if self.long is None else torch.where(tokens > self.long, distance.max(dim=1).values, mean)


class WiseLayer(Memory):
    """The layer and its memories: a row is decided on its prompt, and held to that while tokens are generated."""

    def __init__(self, original: nn.Module, weights: Tensor, lowest: Tensor, scorer: Scorer, ratio: float, side: bool):
        super().__init__(original)
        self.weights, self.lowest, self.scorer, self.ratio, self.side = weights, lowest, scorer, ratio, side

    def forward(self, hidden: Tensor) -> Tensor:
        """The layer's output [B, T, d_out], from a row's memory where one answers."""
        now = rows()
        chosen = self.held(now) if now.phase == "decode" else self.choose(hidden, self.scope(now))
        now.memo[self] = chosen
        output: Tensor = self.original(hidden)
        for index in set(chosen.tolist()):
            if index >= 0:
                here = chosen == index
                output[here] = project(self.original, self.weights[index], hidden[here])
        return output

    def scope(self, now: Rows) -> Tensor:
        """The columns [B, T] that a decision looks at."""
        return now.prompt

    def held(self, now: Rows) -> Tensor:
        """The decision [B] that a row's new token is held to."""
        return now.memo[self]  # type: ignore[no-any-return]

    def choose(self, hidden: Tensor, scope: Tensor) -> Tensor:
        """The memory that answers per row [B] int64; −1: the layer itself.

        The highest score wins among memories that reach `ratio` times the lowest score of their edits. The side memory
        competes even if it does not reach it, and then the layer itself answers.
        """
        own = self.original(hidden)
        others = (project(self.original, weight, hidden) for weight in self.weights)
        scores = torch.stack([self.scorer.score(own, other, scope) for other in others])
        passes = scores >= self.ratio * self.lowest[:, None]
        competes = passes.clone()
        if self.side:
            competes[0] = True
        best = scores.masked_fill(~competes, -1.0).argmax(dim=0)
        return torch.where(passes.gather(0, best[None])[0], best, -1)


class WholeWiseLayer(WiseLayer, WholeSequence):
    """The authors' routing: all tokens so far decide, anew at every step, which no cache allows."""

    def scope(self, now: Rows) -> Tensor:
        """Every column that holds a token."""
        return now.mask

    def held(self, now: Rows) -> Tensor:
        """Nothing is held to: raises MethodError."""
        raise MethodError("wise with route=reference decides on the whole text at every step: generate without a cache")


@dataclass(frozen=True)
class WiseRecipe:
    """A WiseLayer as data: weights [n, *stored shape], lowest [n]; config: route, activation, long, ratio, side."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "wise"

    def build(self, original: nn.Module) -> nn.Module:
        """The layer over `original`, on its device and in its dtype."""
        like = next(original.parameters())
        kind = WiseLayer if self.config["route"] == "prefill" else WholeWiseLayer
        scorer = Scorer(self.config["activation"], self.config["long"])
        weights, lowest = self.tensors["weights"].to(like.device, like.dtype), self.tensors["lowest"].to(like.device)
        return kind(original, weights, lowest, scorer, self.config["ratio"], self.config["side"])
