"""Keys of the edits a run has already made: the term ‖Δ Kp‖² that protects them.

Kept as keys [d_k, p] while p is below d_k, as their Gram matrix [d_k, d_k] after that, so memory and time stay bounded
however long the run. Keys of an edit do not depend on its own layer's write, so those used in the solve are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.types import State


@dataclass(frozen=True)
class PriorKeys:
    """Earlier keys of one layer: either `keys` [d_k, p] (fp32) or `gram` [d_k, d_k] (fp64) of `count` keys."""

    keys: Tensor
    gram: Tensor | None = None
    count: int = 0

    @classmethod
    def empty(cls, key_size: int) -> PriorKeys:
        """No earlier edits."""
        return cls(torch.zeros(key_size, 0))

    def append(self, keys: Tensor) -> PriorKeys:
        """These and the keys [d_k, n] of one more batch."""
        size, count = keys.shape[0], self.count + keys.shape[1]
        if self.gram is None and count < size:
            return PriorKeys(torch.cat([self.keys.to(keys), keys], dim=1).float(), None, count)
        new = keys.double()
        return PriorKeys(torch.zeros(size, 0), self._gram(new) + new @ new.mT, count)

    def _gram(self, like: Tensor) -> Tensor:
        if self.gram is not None:
            return self.gram.to(like)
        keys = self.keys.to(like)
        return keys @ keys.mT

    def to_state(self, layer: int) -> dict[str, Tensor]:
        """As named tensors: "prior_keys.layer3", or "prior_gram.layer3" with "prior_count.layer3"."""
        if self.gram is None:
            return {f"prior_keys.layer{layer}": self.keys}
        return {f"prior_gram.layer{layer}": self.gram, f"prior_count.layer{layer}": torch.tensor(self.count)}

    @classmethod
    def from_state(cls, state: State, layer: int, key_size: int) -> PriorKeys:
        """What `to_state` wrote; empty where the state holds nothing for this layer."""
        gram = state.get(f"prior_gram.layer{layer}")
        if gram is not None:
            return cls(torch.zeros(key_size, 0), gram, int(state[f"prior_count.layer{layer}"]))
        keys = state.get(f"prior_keys.layer{layer}")
        return cls.empty(key_size) if keys is None else cls(keys, None, keys.shape[1])
