"""EMMET: equality-constrained mass model editing (Gupta, Sajnani, Anumanchipalli, "A unified framework", 2024).

ROME and MEMIT preserve the same thing; ROME under an equality constraint for one edit, MEMIT by least squares for many.
EMMET is the constraint for many, min ‖ΔK0‖² s.t. ΔK = R, softened by a ridge ρ (`ridge`):

    Δ = R (Kᵀ A⁻¹ K + ρ I)⁻¹ Kᵀ A⁻¹,   A = λ C + Kp Kpᵀ

ρ = 0 meets every constraint, and for one edit is ROME; ρ = 1 is MEMIT; ρ with A is MEMIT with ρA. The authors' code
adds the ridge for more than one edit only (`ridge_single` false), EasyEdit always. With ρ = 0 two edits whose prompts
are the same up to the subject's last token have one key, and no Δ meets both: the later one is failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from editharness.locate.batch import by_depth, encodable
from editharness.locate.options import EmmetOptions
from editharness.locate.solve import solve
from editharness.method import Host
from editharness.types import Edit, State, Status, Step
from editharness_plugins.methods.memit import Memit

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.prior import PriorKeys
    from editharness.patch import LowRank


class Emmet(Memit):
    """MEMIT's values and keys under EMMET's constraint; one layer unless `layers` names more."""

    options: EmmetOptions

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """All edits of the batch at once, without those that an exact constraint cannot hold for."""
        twins = self.twins(host, edits) if self.ridge(len(edits)) == 0 else {}
        step = super().edit(host, [edit for edit in edits if edit.id not in twins], state)
        made = {status.edit_id: status for status in step.statuses}
        return replace(step, statuses=tuple({**made, **twins}[edit.id] for edit in edits))

    def solve(self, host: Host, layer: int, key: Tensor, residual: Tensor, prior: PriorKeys) -> LowRank:
        """The closed form with A = λC + KpKpᵀ."""
        moments = host.moments(layer, together=self.layers(host))
        space = moments.cholesky(self.options.covariance_weight, self.options.covariance_floor)
        return solve(space, key, residual, ridge=self.ridge(key.shape[1]), prior=prior)

    def ridge(self, edits: int) -> float:
        """ρ for a batch of so many edits."""
        return self.options.ridge if edits > 1 or self.options.ridge_single else 0.0

    def twins(self, host: Host, edits: Sequence[Edit]) -> dict[str, Status]:
        """A failed status for every edit whose key is an earlier edit's: equal tokens up to the subject's last."""
        usable, _ = encodable(host, edits)
        if not usable:
            return {}
        prompts, found = host.encode(usable, targets=False), {}
        first: dict[tuple[int, ...], Edit] = {}
        for edit, ids, last in zip(usable, prompts.ids.tolist(), prompts.subject_last.tolist(), strict=True):
            held = first.setdefault(tuple(ids[: last + 1]), edit)
            if held is not edit:
                reason = f"duplicate subject {edit.subject_text!r}: edit {held.id} has the same key, and with ridge=0"
                found[edit.id] = Status(edit.id, "failed", f"{reason} no change meets both; set ridge above 0")
        return found

    def layers(self, host: Host) -> tuple[int, ...]:
        """The edited layers, ascending; ROME's one by default, as the authors edit one."""
        return self.options.layers or by_depth(host.modules.layers)[:1]
