"""ROME: rank-one model editing (Meng et al., NeurIPS 2022).

Seen as an associative memory, an MLP's down projection W maps keys to values. One edit writes one pair (k, v) with the
least disturbance of all others, eq. 2:

    Δ = (v − W k) (C⁻¹ k)ᵀ / ((C⁻¹ k)ᵀ k)

The published code takes C⁻¹k from the mean key over contexts and everything else from the bare prompt's; `key_mode`
"mixed" keeps that, since all published numbers, and the collapses they show, come from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import no_grad

from editharness.errors import EditError, MethodError
from editharness.locate.batch import Found, by_depth, drafting, find_values
from editharness.locate.keys import keys
from editharness.locate.options import RomeOptions
from editharness.locate.solve import Scaled, rank_one
from editharness.method import Host, Method
from editharness.types import Edit, State, Status, Step

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.patch import WeightPatch


class Rome(Method[RomeOptions]):
    """ROME, one edit at a time."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """The one edit of the batch."""
        if len(edits) != 1:
            raise MethodError(f"ROME writes one edit at a time, not {len(edits)}: use --schedule single or sequential")
        return next(self.edit_each(host, edits, state))

    def edit_each(self, host: Host, edits: Sequence[Edit], state: State) -> Iterator[Step]:
        """Every edit alone, with the values searched in one batch."""
        for status, edit, target in self.values(host, edits).each():
            if edit is None:
                yield Step(None, state, (status,))
                continue
            try:
                yield Step(self.write(host, edit, target[0]), state, (status,))
            except EditError as error:
                yield Step(None, state, (Status(edit.id, "failed", str(error)),))

    def values(self, host: Host, edits: Sequence[Edit]) -> Found:
        """Target values v: outputs of the layer's MLP."""
        return find_values(host, edits, self.layer(host), self.contexts(host), self.options, site="mlp")

    def write(self, host: Host, edit: Edit, value: Tensor) -> WeightPatch:
        """Eq. 2: the constraint W'k = v holds at the key that `key_mode` names."""
        layer = self.layer(host)
        mean, bare = (
            keys(host.model, host.modules, layer, host.encode([edit], contexts, targets=False), "flat")[0]
            for contexts in (self.contexts(host), ("{}",))
        )
        direction = bare if self.options.key_mode == "bare" else mean
        held = mean if self.options.key_mode == "mean" else bare
        with no_grad():
            weight = host.model.get_parameter(host.modules.down_weight(layer))
            output = host.model.get_submodule(host.modules.down_projection(layer))(held.to(weight.dtype))
        with drafting(host) as draft:
            missing = value - output.float().to(value.device)
            draft.write(layer, rank_one(self.inverse(host, layer, direction), held, missing))
        return draft.patch

    def inverse(self, host: Host, layer: int, key: Tensor) -> Tensor:
        """C⁻¹ k."""
        floor = self.options.covariance_floor
        space = host.moments(layer).cholesky(floor=floor) if self.options.covariance else Scaled()
        return space.back(space.whiten(key.double()[:, None]))[:, 0]

    def layer(self, host: Host) -> int:
        """The edited layer."""
        chosen = self.options.layer
        return by_depth(host.modules.layers)[0] if chosen is None else chosen

    def contexts(self, host: Host) -> tuple[str, ...]:
        """The bare prompt and the sampled contexts, half of them short."""
        short = self.options.templates // 2
        return ("{}", *host.templates(short, 5), *host.templates(self.options.templates - short, 10))
