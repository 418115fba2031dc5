"""Answers of a model that tell more than lm-eval asks for, and remain what it expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Decode = Callable[[Sequence[int]], str]
"""Token ids -> their text."""


class Likelihood(tuple[float, bool]):
    """(log-probability, all tokens greedy), as lm-eval expects, that also tells the continuation's tokens.

    `tokens`: their ids; `greedy`: the likeliest token at each place, given the continuation's before it (teacher
    forcing); `right`: whether they are the same; `drift`: how far the word after the prompt has moved from the unedited
    model's (`drift.Before.apart`), where that is wanted.
    """

    tokens: tuple[int, ...]
    greedy: tuple[int, ...]
    decode: Decode
    drift: tuple[float, float] | None

    @classmethod
    def of(
        cls, tokens: Sequence[int], scores: torch.Tensor, greedy: Sequence[int], decode: Decode,
        drift: tuple[float, float] | None = None,
    ) -> Likelihood:  # fmt: skip
        """From the log-probability of each token [n] and the likeliest one at its place [n]."""
        made = cls((float(scores.sum()), tuple(greedy) == tuple(tokens)))
        made.tokens, made.greedy, made.decode, made.drift = tuple(tokens), tuple(greedy), decode, drift
        return made

    def to_json(self) -> list[Any]:
        """All of it but the decoder."""
        return [*self, self.tokens, self.greedy, self.drift]

    @classmethod
    def from_json(cls, raw: Sequence[Any], decode: Decode) -> Likelihood:
        """What `to_json` gave."""
        score, all_greedy, tokens, greedy, drift = raw
        made = cls((score, all_greedy))
        made.tokens, made.greedy, made.decode = tuple(tokens), tuple(greedy), decode
        made.drift = None if drift is None else (drift[0], drift[1])
        return made

    @property
    def right(self) -> tuple[bool, ...]:
        """Whether each token is the likeliest one at its place."""
        return tuple(a == b for a, b in zip(self.tokens, self.greedy, strict=True))

    @property
    def forced(self) -> str:
        """What the model says under teacher forcing."""
        return self.decode(self.greedy)


class Said(str):
    """A free answer that also tells its tokens, those from the stop string on included."""

    tokens: tuple[int, ...]
    decode: Decode

    @classmethod
    def of(cls, text: str, tokens: Sequence[int], decode: Decode) -> Said:
        """The text as it is scored, and the ids that the model gave."""
        made = cls(text)
        made.tokens, made.decode = tuple(tokens), decode
        return made

    def first(self, tokens: int) -> str:
        """The text of the first so many tokens."""
        return self.decode(self.tokens[:tokens])
