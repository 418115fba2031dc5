"""MEMIT with complementary forms: one value that makes the fact true in every way of asking, written at every key.

MEMIT's value is searched for one wording, and its change is fitted to one key per edit. Here both see the edit's
training wordings ("forms"): prompts that ask for the new answer, that deny it (and then want the old one), and that
ask for a verdict on either. The search minimises their mean loss with one δ per edit; the solve then moves the output
of the subject's last token in *every* wording j by it,

    Δ = R Kᵀ (λ C + Kp Kpᵀ + K Kᵀ)⁻¹,   K = [k_ij],  R = [h_ij + δ_i − h_ij(now)]

(MEMIT eq. 14 with a column per edit and wording). No paper of ours or others: an answer to the collapse that
arXiv 2510.00625 reports, which blames the key that "is" and "is not" share. No wording of a probe is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from editharness.data.cases import find_subject
from editharness.errors import DataError
from editharness.locate.batch import Found, drafting, find_values
from editharness.locate.forward import read
from editharness.locate.keys import block_outputs
from editharness.locate.options import ComplementOptions
from editharness.locate.prior import PriorKeys
from editharness.method import Host
from editharness.types import Edit, State
from editharness_plugins.methods.memit import Memit

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.models.spans import Prompts
    from editharness.patch import WeightPatch


class Complement(Memit):
    """MEMIT over all forms of the facts."""

    options: ComplementOptions

    def values(self, host: Host, edits: Sequence[Edit]) -> Found:
        """Target values z = h + δ of the bare prompts, searched over all wordings."""
        layer = self.layers(host)[-1]
        return find_values(host, edits, layer, (), self.options, encode=lambda usable: self.wordings(host, usable))

    def write(self, host: Host, edits: Sequence[Edit], target: Tensor, state: State) -> tuple[WeightPatch, State]:
        """The change of every layer, fitted to the keys of all wordings."""
        layers, kept = self.layers(host), dict(state)
        rows = self.wordings(host, edits if self.options.every_key else bare(edits), targets=False)
        before = block_outputs(host.model, host.modules, layers[-1], rows)
        first = torch.tensor([int((rows.edit == i).nonzero()[0]) for i in range(len(edits))])
        wanted = before + (target - before[first])[rows.edit]
        with drafting(host) as draft:
            for index, layer in enumerate(layers):
                name = host.modules.down_projection(layer)
                key = read(host.model, rows, {name: "input"})[name].mT
                missing = (wanted - block_outputs(host.model, host.modules, layers[-1], rows)).mT
                prior = PriorKeys.from_state(state, layer, len(key))
                residual = self.residual(host, layer, key, self.share(missing, len(layers) - index))
                draft.write(layer, self.solve(host, layer, key, residual, prior))
                if self.options.prior:
                    kept = {**kept, **prior.append(key).to_state(layer)}
        return draft.patch, kept

    def wordings(self, host: Host, edits: Sequence[Edit], *, targets: bool = True) -> Prompts:
        """Every edit's own prompt, then its forms, each with its own answer; edit-major."""
        told = [(index, one) for index, edit in enumerate(edits) for one in (edit, *self.in_forms(edit))]
        prompts = host.encode([one for _, one in told], targets=targets)
        return replace(prompts, edit=torch.tensor([index for index, _ in told]))

    def in_forms(self, edit: Edit) -> list[Edit]:
        """The forms in which the subject can be found, as edits."""
        wanted = edit.forms if self.options.denials else [form for form in edit.forms if form[1] == edit.target]
        return in_forms(edit, wanted)


def bare(edits: Sequence[Edit]) -> list[Edit]:
    """The edits without their forms."""
    return [replace(edit, forms=()) for edit in edits]


def in_forms(edit: Edit, forms: Sequence[tuple[str, str]]) -> list[Edit]:
    """The forms in which the subject can be found, as edits."""
    found = []
    for prompt, answer in forms:
        try:
            found.append(Edit(edit.id, prompt, find_subject(prompt, edit.subject_text), answer))
        except DataError:
            continue
    return found
