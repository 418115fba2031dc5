"""AlphaEdit: null-space constrained editing (Fang et al., ICLR 2025).

A change that lies in the null space of old keys leaves their outputs alone, so nothing need be weighed against them.
With B an orthonormal basis of the directions in which the second moments C have eigenvalues below `threshold`, P = BBᵀ,

    min ‖(W + ΔP) K − V‖² + L2 ‖ΔP‖² + ‖ΔP Kp‖²
    Δ = R Kᵀ P (Kp Kpᵀ P + K Kᵀ P + L2 I)⁻¹

Values z, spread and layers are MEMIT's. In the coordinates of B every system is as small as the number of edits, and
ΔP = Δ. The threshold is absolute, so it depends on the scale of a model's keys; each edit's facts tell the rank r, and
a null space of nothing or of everything is an error. Earlier keys Kp belong to the method; `prior` false leaves them
out as an ablation. The authors' code has L2 = 10; a widely used port has 1 for some models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from editharness.errors import MethodError
from editharness.locate.batch import Found
from editharness.locate.options import AlphaEditOptions
from editharness.locate.solve import solve
from editharness.method import Host
from editharness.types import Edit
from editharness_plugins.methods.memit import Memit

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.prior import PriorKeys
    from editharness.patch import LowRank


class AlphaEdit(Memit):
    """MEMIT with its solve in the null space of the second moments."""

    options: AlphaEditOptions

    def values(self, host: Host, edits: Sequence[Edit]) -> Found:
        """MEMIT's target values; the rank of every layer's null space is told with them."""
        ranks = {f"rank.layer{layer}": float(self.basis(host, layer).shape[1]) for layer in self.layers(host)}
        found = super().values(host, edits)
        told = tuple(replace(status, facts={**status.facts, **ranks}) for status in found.statuses)
        return replace(found, statuses=told)

    def solve(self, host: Host, layer: int, key: Tensor, residual: Tensor, prior: PriorKeys) -> LowRank:
        """The closed form; the spectrum that P is made of is taken once per layer and run."""
        moments = host.moments(layer, together=self.layers(host))
        return solve(moments.null_space(self.options.threshold, self.options.l2), key, residual, prior=prior)

    def basis(self, host: Host, layer: int) -> Tensor:
        """B [d_k, r]; raises MethodError for r = 0, which allows no change, and r = d_k, which protects nothing."""
        moments = host.moments(layer, together=self.layers(host))
        basis = moments.null_basis(self.options.threshold)
        size, rank = basis.shape
        if rank in (0, size):
            values = moments.spectrum[0]
            raise MethodError(
                f"layer {layer}: {rank} of {size} directions have second moments below threshold="
                f"{self.options.threshold:g}, so no null space is set apart; they reach from {float(values[0]):.2g} "
                f"to {float(values[-1]):.2g}, with the median {float(values[size // 2]):.2g}: set threshold between"
            )
        return basis
