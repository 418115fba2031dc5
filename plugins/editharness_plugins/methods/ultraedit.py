"""UltraEdit: one closed-form step along normalised gradients; no training, no subject (Gu et al., TMLR 2026).

Keys k and output gradients g of the answer's tokens, normalised by lifelong statistics over all tokens of all batches
so far, one set per shape of weight: [k̂; ĝ] = ([k; g] − μ) / σ. Value shifts and their least-squares change:

    v_t = −η ‖k̂_t‖² ĝ_t,    Δᵀ = (KᵀK + λI)⁻¹ KᵀV = Kᵀ (KKᵀ + λI)⁻¹ V        (K [N, d_in] raw, V [N, d_out])

solved in the second form, of the size of the batch. All gradients are taken at the weights before the batch.

Ours: exact running moments (a batch of one token has no variance in the published normaliser: NaN), and they begin with
`prior_tokens` rows of mean 0 at the first batch's scale, so that a feature without spread is not divided by nearly
nothing; with time the statistics are the paper's. The loss is summed over edits (the published one is the mean of a
batch, a constant that normalising removes). Read from the code; the paper's tables were not checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from editharness.errors import EditError
from editharness.locate.batch import encodable, in_storage
from editharness.locate.gradients import Factors, token_gradients
from editharness.locate.running import Running
from editharness.locate.solve import Scaled, solve
from editharness.method import Host, Method
from editharness.models.capture import submodule
from editharness.models.modules import Role, is_transposed
from editharness.patch import LowRank, WeightPatch
from editharness.types import Edit, State, Status, Step
from editharness_plugins.methods.options.fine_tuning import UltraEditOptions

if TYPE_CHECKING:
    from torch import Tensor


class UltraEdit(Method[UltraEditOptions]):
    """One solve per weight and batch."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """All edits of the batch; the state is the statistics."""
        usable, failed = encodable(host, edits)
        if not usable:
            return Step(None, state, tuple(failed.values()))
        found = token_gradients(host.model, host.modules.head, self.maps(host), host.encode(usable))
        if not bool(found.losses.isfinite().all()):
            raise EditError("the loss is no number")
        moments = self.seen(found.factors, state)
        deltas = {
            f"{name}.weight": in_storage(
                self.change(factors, moments[shape(factors)]), is_transposed(submodule(host.model, name))
            )
            for name, factors in found.factors.items()
        }
        after = {name: held for size, one in moments.items() for name, held in one.to_state(size).items()}
        done = {
            edit.id: Status(edit.id, "done", facts={"loss_before": float(loss)})
            for edit, loss in zip(usable, found.losses, strict=True)
        }
        return Step(WeightPatch(deltas), {**state, **after}, tuple({**done, **failed}[edit.id] for edit in edits))

    def seen(self, found: Mapping[str, Factors], state: State) -> dict[str, Running]:
        """The statistics of every shape, this batch included."""
        moments: dict[str, Running] = {}
        for size in {shape(factors) for factors in found.values()}:
            rows = torch.cat([joined(factors) for factors in found.values() if shape(factors) == size])
            earlier = Running.from_state(state, size, rows.shape[1])
            moments[size] = (earlier if earlier.count else self.prior(rows, size)).add(rows)
            if moments[size].count < 2:
                raise EditError("one token has no spread to normalise by: set prior_tokens or edit more at once")
        return moments

    def prior(self, rows: Tensor, size: str) -> Running:
        """`prior_tokens` rows of mean 0 whose features all have the scale of the batch, keys and gradients apart."""
        count, keys = self.options.prior_tokens, int(size.split("x")[0])
        square = rows.double().square()
        scale = torch.cat([part.mean().expand(part.shape[1]) for part in (square[:, :keys], square[:, keys:])])
        return Running(count, torch.zeros_like(scale), count * scale)

    def change(self, factors: Factors, moments: Running) -> LowRank:
        """Δ [d_out, d_in] of one weight."""
        normal = moments.normalise(joined(factors))
        width = factors.keys.shape[1]
        key, gradient = normal[:, :width], normal[:, width:]
        shift = -self.options.eta * key.square().sum(dim=1, keepdim=True) * gradient
        change = solve(Scaled(), factors.keys.mT, shift.mT, ridge=self.options.ridge)
        if not bool(change.a.isfinite().all() and change.b.isfinite().all()):
            raise EditError("the solve gave numbers that are not finite: lower eta")
        return change

    def maps(self, host: Host) -> list[str]:
        """The changed linear maps, each once."""
        o, modules = self.options, host.modules
        chosen: dict[Role, tuple[int, ...]] = {"gate": o.gate, "up": o.up, "down": o.down}
        if not any(chosen.values()):
            chosen = {"gate": upper(modules.layers), "up": upper(modules.layers)}
        return list(dict.fromkeys(modules.projection(layer, role) for role in chosen for layer in chosen[role]))


def shape(factors: Factors) -> str:
    """The shape of a weight as the state names it: "<d_in>x<d_out>"."""
    return f"{factors.keys.shape[1]}x{factors.gradients.shape[1]}"


def joined(factors: Factors) -> Tensor:
    """[k; g] by token [N, d_in + d_out]."""
    return torch.cat([factors.keys, factors.gradients], dim=1)


def upper(layers: int) -> tuple[int, ...]:
    """Layers to edit where nobody has published any: five to seven eighths of the way up (published: 18-26 of 28)."""
    return tuple(range(round(layers * 5 / 8), max(round(layers * 7 / 8), round(layers * 5 / 8) + 1)))
