"""How far an edited model's next word has moved from the unedited one's, after the same prompt.

The vocabulary is taken as the unedited model's `LIKELIEST` tokens, one by one, and all others together: little to keep
for each prompt, and never more than the distance over single tokens (data processing inequality).

    KL = sum_i p_i ln(p_i / q_i)   nats          moved = 1/2 sum_i |p_i - q_i|   share of the probability, in [0, 1]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

LIKELIEST = 1000


@dataclass(frozen=True)
class Before:
    """The unedited model's next word: its likeliest tokens [K] and their log-probabilities with the rest's [K + 1]."""

    tokens: Tensor
    logp: Tensor

    @classmethod
    def of(cls, logp: Tensor) -> Before:
        """From the log-probabilities of all tokens [V]."""
        top = logp.topk(min(LIKELIEST, logp.shape[0]))
        tokens = top.indices.cpu()
        return cls(tokens, _taken(logp.cpu().double(), tokens))

    def apart(self, logp: Tensor) -> tuple[float, float]:
        """(KL, moved) of another model's log-probabilities [V] after the same prompt."""
        now = _taken(logp.cpu().double(), self.tokens)
        p, q = self.logp.exp(), now.exp()
        kl = torch.where(p > 0, p * (self.logp - now), torch.zeros_like(p)).sum()
        return max(0.0, float(kl)), float((p - q).abs().sum() / 2)


def _taken(logp: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities of these tokens and, last, of all others together."""
    chosen = logp[tokens]
    others = torch.ones(logp.shape[0], dtype=torch.bool)
    others[tokens] = False
    rest = logp[others].logsumexp(dim=0) if bool(others.any()) else logp.new_tensor(-torch.inf)
    return torch.cat([chosen, rest[None]])
