"""What a value search minimises: a sum of terms, each of them one number per edit.

    Likelihood   mean_j −log p(target | context_j)
    Near         KL(now ‖ anchor): the anchor is what was read before the search, or what a teacher said
    Decay        |δ| / |h|²

A term reads distributions at named places of an edit's rows; a pass computes logits at the places its terms name only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from editharness.models.spans import IGNORED

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.locate.options import ValueOptions
    from editharness.locate.rows import Rows

Place = Literal["target", "essence", "essence_end", "lens"]
"""Where log p is read: at the target's tokens; in "<subject> is a" at the subject's last token or at its end; at the
subject's last token of every row with the head on a middle block (logit lens)."""

Anchor = Literal["before", "teacher"]
Anchors = Mapping[Anchor, Mapping[Place, "Tensor"]]


@dataclass(frozen=True)
class Seen:
    """One pass of a search over n edits.

    logp: per place log p [k, vocabulary]; row: per place the row of each of the k. deltas [n, d_h] and norms [n] (of
    what δ is added to): one of each per searched vector. emphasis: the factor of the likelihood, of all or per edit.
    """

    rows: Rows
    logp: Mapping[Place, Tensor]
    row: Mapping[Place, Tensor]
    deltas: tuple[Tensor, ...]
    norms: tuple[Tensor, ...]
    emphasis: Tensor | float = 1.0

    @property
    def labels(self) -> Tensor:
        """The target tokens [k], in the order of the place "target"."""
        labels = self.rows.labels[torch.unique_consecutive(self.row["target"])]
        return labels[labels != IGNORED]

    def by_edit(self, rows: Tensor, values: Tensor) -> Tensor:
        """Sum over an edit's rows: rows [k] and values [k] -> [n]."""
        zeros = torch.zeros(len(self.norms[0]), dtype=values.dtype, device=values.device)
        return zeros.index_add(0, self.rows.edit[rows], values)


class Term(Protocol):
    """One term of a loss."""

    @property
    def places(self) -> tuple[Place, ...]:
        """Where it reads."""

    def __call__(self, seen: Seen, anchors: Anchors) -> Tensor:
        """Its value per edit [n]."""


@dataclass(frozen=True)
class Likelihood:
    """Mean over an edit's rewriting rows of the mean over target tokens of −log p."""

    weight: float = 1.0
    places: tuple[Place, ...] = ("target",)

    def __call__(self, seen: Seen, anchors: Anchors) -> Tensor:
        """The mean of means [n], times the pass's emphasis."""
        rows, row, logp = seen.rows, seen.row["target"], seen.logp["target"]
        contexts = seen.by_edit(torch.arange(len(rows.edit), device=logp.device), (~rows.essence).to(logp.dtype))
        weight = 1.0 / ((rows.labels != IGNORED).sum(dim=1)[row] * contexts[rows.edit[row]])
        picked = logp.gather(1, seen.labels[:, None])[:, 0]
        return self.weight * seen.emphasis * seen.by_edit(row, -picked * weight)


@dataclass(frozen=True)
class Near:
    """Mean over the places of KL(now ‖ anchor), the direction that published code takes."""

    weight: float
    places: tuple[Place, ...] = ("essence",)
    anchor: Anchor = "before"

    def __call__(self, seen: Seen, anchors: Anchors) -> Tensor:
        """The mean over all of an edit's positions at these places [n]."""
        pairs = [(seen.logp[place], anchors[self.anchor][place]) for place in self.places]
        apart = torch.cat([(now.exp() * (now - then)).sum(dim=1) for now, then in pairs])
        row = torch.cat([seen.row[place] for place in self.places])
        count = seen.by_edit(row, apart.new_ones(len(apart))).clamp(min=1)
        return self.weight * (seen.by_edit(row, apart) / count)


@dataclass(frozen=True)
class Decay:
    """|δ| / |h|², summed over the searched vectors.

    `repeated`: |δ written once per row| / |H| instead, H holding the outputs [d_h, rows] of all rows (NAMET).
    """

    weight: float
    repeated: bool = False
    places: tuple[Place, ...] = ()

    def __call__(self, seen: Seen, anchors: Anchors) -> Tensor:
        """The sum over vectors [n]."""
        terms = [self._one(seen, delta, norm) for delta, norm in zip(seen.deltas, seen.norms, strict=True)]
        return torch.stack(terms).sum(dim=0) if len(terms) > 1 else terms[0]

    def _one(self, seen: Seen, delta: Tensor, norm: Tensor) -> Tensor:
        if not self.repeated:
            decay: Tensor = self.weight * delta.norm(dim=1) / norm**2
            return decay
        entered = seen.rows.entered.to(norm.dtype)
        count = seen.by_edit(torch.arange(len(entered), device=norm.device), entered)
        repeated: Tensor = self.weight * count.sqrt() * delta.norm(dim=1) / norm
        return repeated


@dataclass(frozen=True)
class Schedule:
    """PMET's: where every target token is the likeliest, the likelihood counts `factor` in the next pass, and the
    search ends once the KL terms are at most `kl_stop`."""

    factor: float = 0.1
    kl_stop: float = 0.01


@dataclass(frozen=True)
class Objective:
    """The sum of `terms`; an edit is done when it is below `loss_stop`."""

    terms: tuple[Term, ...]
    loss_stop: float
    schedule: Schedule | None = None

    @property
    def places(self) -> frozenset[Place]:
        """Everywhere the terms read."""
        return frozenset(place for term in self.terms for place in term.places)

    def held(self, seen: Seen) -> dict[Place, Tensor]:
        """What the first pass shows that later ones are compared with."""
        near = [term for term in self.terms if isinstance(term, Near) and term.anchor == "before"]
        return {place: seen.logp[place].detach() for term in near for place in term.places}

    def __call__(self, seen: Seen, anchors: Anchors) -> tuple[Tensor, Tensor]:
        """The loss and which edits are done, both [n]."""
        values = [term(seen, anchors) for term in self.terms]
        loss = values[0]
        for value in values[1:]:
            loss = loss + value
        done = loss < self.loss_stop
        if self.schedule is not None:
            near = [value for term, value in zip(self.terms, values, strict=True) if isinstance(term, Near)]
            done = done | (said(seen) & (torch.stack(near).sum(dim=0) <= self.schedule.kl_stop))
        return loss, done

    def emphasis(self, seen: Seen) -> Tensor | float:
        """The factor of the likelihood in the next pass."""
        if self.schedule is None:
            return 1.0
        return torch.where(said(seen), self.schedule.factor, torch.ones_like(seen.norms[0]))


def said(seen: Seen) -> Tensor:
    """Per edit, whether every target token is the likeliest one in every row [n] bool."""
    missed = seen.logp["target"].argmax(dim=1) != seen.labels
    return seen.by_edit(seen.row["target"], missed.to(seen.norms[0].dtype)) == 0


def published(options: ValueOptions, schedule: Schedule | None = None) -> Objective:
    """The loss of ROME (eq. 4) and MEMIT (eq. 16)."""
    terms = (Likelihood(), Near(options.kl_weight), Decay(options.weight_decay))
    return Objective(terms, options.loss_stop, schedule)
