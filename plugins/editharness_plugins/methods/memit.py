"""MEMIT: mass-editing memory in a transformer (Meng et al., ICLR 2023).

Target values z at the last edited layer; then, layer by layer, the least-squares change that moves the outputs of the
new keys K by their share R of what is still missing, and those of old keys as little as possible (eq. 14):

    Δ = R Kᵀ (λ C + Kp Kpᵀ + K Kᵀ)⁻¹

Kp are the keys of the run's earlier edits (`prior`, the term that sequential editing needs; the paper has one batch).
C has a floor (`covariance_floor`), else directions that no text uses would be written with weights without bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from editharness.errors import EditError
from editharness.locate.batch import Found, by_depth, drafting, find_values
from editharness.locate.keys import block_outputs, keys
from editharness.locate.options import MemitOptions
from editharness.locate.post_norm import written
from editharness.locate.prior import PriorKeys
from editharness.locate.solve import solve, spread
from editharness.method import Host, Method
from editharness.types import Edit, State, Status, Step

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.patch import Dense, LowRank, WeightPatch


class Memit(Method[MemitOptions]):
    """MEMIT; methods that change one part of it derive from this class."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """All edits of the batch at once."""
        found = self.values(host, edits)
        if not found.edits:
            return Step(None, state, found.statuses)
        patch, state = self.write(host, found.edits, found.target, state)
        return Step(patch, state, found.statuses)

    def edit_each(self, host: Host, edits: Sequence[Edit], state: State) -> Iterator[Step]:
        """Every edit alone: the values in one batch, since each is searched on the same model, then one write each."""
        for status, edit, target in self.values(host, edits).each():
            if edit is None:
                yield Step(None, state, (status,))
                continue
            try:
                patch, after = self.write(host, [edit], target, state)
            except EditError as error:
                yield Step(None, state, (Status(edit.id, "failed", str(error)),))
            else:
                yield Step(patch, after, (status,))

    def values(self, host: Host, edits: Sequence[Edit]) -> Found:
        """Target values z: outputs of the last edited block."""
        return find_values(host, edits, self.layers(host)[-1], self.contexts(host), self.options)

    def write(self, host: Host, edits: Sequence[Edit], target: Tensor, state: State) -> tuple[WeightPatch, State]:
        """The change of every layer, each computed on the model with the earlier layers changed."""
        layers = self.layers(host)
        under_contexts = host.encode(edits, self.contexts(host), targets=False)
        kept = dict(state)
        with drafting(host) as draft:
            for index, layer in enumerate(layers):
                key = keys(host.model, host.modules, layer, under_contexts).mT
                missing = (target - self.current(host, edits)).mT
                prior = PriorKeys.from_state(state, layer, len(key))
                residual = self.residual(host, layer, key, self.share(missing, len(layers) - index))
                draft.write(layer, self.solve(host, layer, key, residual, prior))
                if self.options.prior:
                    kept = {**kept, **prior.append(key).to_state(layer)}
        return draft.patch, kept

    def current(self, host: Host, edits: Sequence[Edit]) -> Tensor:
        """What the model has now where the targets are set [n, d_h]: the last edited block on the bare prompts."""
        bare = host.encode(edits, targets=False)
        return block_outputs(host.model, host.modules, self.layers(host)[-1], bare)

    def share(self, missing: Tensor, remaining: int) -> Tensor:
        """What one layer takes of the missing [d_h, n] when `remaining` layers, itself included, are to be written."""
        return spread(missing, remaining)

    def residual(self, host: Host, layer: int, key: Tensor, share: Tensor) -> Tensor:
        """R [d_h, n]: what the down projection must write at its keys for the stream to move by a layer's share."""
        return written(host.model, host.modules, layer, key, share)

    def solve(self, host: Host, layer: int, key: Tensor, residual: Tensor, prior: PriorKeys) -> LowRank | Dense:
        """Eq. 14 with A = λC + KpKpᵀ."""
        moments = host.moments(layer, together=self.layers(host))
        space = moments.cholesky(self.options.covariance_weight, self.options.covariance_floor)
        return solve(space, key, residual, prior=prior)

    def layers(self, host: Host) -> tuple[int, ...]:
        """The edited layers, ascending."""
        return self.options.layers or by_depth(host.modules.layers)

    def contexts(self, host: Host) -> tuple[str, ...]:
        """The bare prompt and the sampled contexts."""
        return ("{}", *host.templates(self.options.templates, self.options.template_length))
