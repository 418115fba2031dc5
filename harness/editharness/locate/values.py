"""Target values: for each edit, the vector at the subject's last token that makes the model say the target.

    z = h + δ,   δ = argmin  mean_j −log p(target | context_j) + kl KL(now ‖ before)["<subject> is a"] + decay |δ|/|h|²

(ROME eq. 4, MEMIT eq. 16; other methods search other vectors by other losses.) Many edits are searched at once: one
Adam over [edits, d_h] is one Adam per edit, since Adam works elementwise. What the search never changes is computed
once: the layers up to the site, and above it the attention keys and values of all tokens before the vector enters. An
edit's numbers do not depend on its neighbours.

What published code does and published numbers rest on, kept here: the KL is that of the current distribution to the
initial one, read at the subject's last token; the decay divides |δ| by |h|²; the last of `steps` passes takes no step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from editharness.locate.forward import chunks, speak
from editharness.locate.freezing import freeze
from editharness.locate.frozen import Frozen, Site
from editharness.locate.objective import Anchor, Anchors, Objective, Place, Seen, published
from editharness.locate.proceeding import proceed
from editharness.locate.rows import Rows, aligned, unshifted
from editharness.models.spans import IGNORED

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.locate.options import ValueOptions
    from editharness.models.modules import ModuleMap
    from editharness.models.spans import Prompts


@dataclass(frozen=True)
class Vector:
    """One searched vector: the site it is added to, and the site whose norm bounds it (none: its own)."""

    site: Site
    bound: Site | None = None


@dataclass(frozen=True)
class Search:
    """What is searched, and by which loss. The value that comes out is that of the first vector.

    `lens` is the middle block that the place "lens" reads. With `shifted` the vectors enter where NAMET's padding puts
    them: h is the mean of what is found there over the contexts, |h| the norm over all rows.
    """

    objective: Objective
    vectors: tuple[Vector, ...] = (Vector("block"),)
    lens: int | None = None
    shifted: bool = False

    @property
    def sites(self) -> frozenset[Site]:
        """All sites that are read."""
        return frozenset(site for v in self.vectors for site in (v.site, v.bound or v.site))


@dataclass(frozen=True)
class Values:
    """Per edit: the site's output on the bare prompt and the target value [n, d_h]; loss reached and steps [n].

    In fp32, or in fp64 for a model that is.
    """

    initial: Tensor
    target: Tensor
    loss: Tensor
    steps: Tensor

    def facts(self, index: int) -> dict[str, float]:
        """What a Status tells of one value; the norm is |δ| / |h|."""
        norm = (self.target[index] - self.initial[index]).norm() / self.initial[index].norm()
        return {"loss": float(self.loss[index]), "steps": float(self.steps[index]), "norm": float(norm)}


def optimise_values(
    model: nn.Module,
    modules: ModuleMap,
    layer: int,
    prompts: Prompts,
    essence: Prompts,
    options: ValueOptions,
    *,
    search: Search | None = None,
    teacher: Prompts | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Values:
    """Search the values of all edits of `prompts` (edit-major, bare prompt first, with targets) at `layer`.

    `essence` holds one "<subject> is a" per edit. Without a `search`, MEMIT's: one vector on the residual stream after
    the layer, the published loss. `teacher` holds the rows of `prompts` as the teacher reads them, for an objective
    with that anchor. An edit whose loss is not finite keeps NaN as its target.
    """
    device = next(model.parameters()).device
    search = search or Search(published(options))
    entry = unshifted(prompts, essence) if search.shifted else None
    rows = aligned(prompts, essence, entry=entry, whole="essence_end" in search.objective.places)
    edits, found = len(essence), list[tuple[list[int], Values]]()
    per_edit = len(rows.edit) // edits
    for chunk in chunks([length * per_edit for length in rows.suffixes()], options.row_tokens):
        anchors: dict[Anchor, Mapping[Place, Tensor]] = {}
        if teacher is not None:
            taught = (_of(teacher, chunk).to(device), _of(essence, chunk).to(device))
            anchors["teacher"] = _teaching(model, modules, *taught, search.lens)
        found.append((chunk, _search(model, modules, layer, rows.take(chunk).to(device), options, search, anchors)))
        if progress is not None:
            progress(sum(len(part) for part, _ in found), edits)
    return _joined(found)


def _search(
    model: nn.Module,
    modules: ModuleMap,
    layer: int,
    rows: Rows,
    options: ValueOptions,
    search: Search,
    anchors: Anchors,
) -> Values:
    """One chunk, from the first pass to the last edit's stop."""
    frozen = freeze(model, modules, layer, rows, search.sites)
    anchors = {name: _as_asked(logp, rows, frozen.order) for name, logp in anchors.items()}
    origins = {site: _origin(rows, seen, search.shifted) for site, seen in frozen.seen.items()}
    initial, _ = origins[search.vectors[0].site]
    deltas = tuple(torch.zeros_like(initial, requires_grad=True) for _ in search.vectors)
    norms = tuple(origins[vector.site][1] for vector in search.vectors)
    limits = [options.clamp * origins[vector.bound or vector.site][1] for vector in search.vectors]
    optimiser = torch.optim.Adam(deltas, lr=options.lr)
    none = initial.new_zeros(len(initial))
    done = Values(initial, torch.full_like(initial, torch.nan), none.clone(), none.clone())
    active: Tensor = none == 0
    emphasis: Tensor | float = 1.0
    for step in range(options.steps):
        with torch.enable_grad():
            seen = replace(_look(model, modules, rows, frozen, search, deltas, norms), emphasis=emphasis)
            anchors = anchors if step else {**anchors, "before": search.objective.held(seen)}
            loss, reached = search.objective(seen, anchors)
        broken, last = ~loss.isfinite(), step == options.steps - 1
        stop = active & (reached | broken | last)
        done.target[stop & ~broken] = (initial + deltas[0]).detach()[stop & ~broken]
        done.loss[stop], done.steps[stop] = loss.detach()[stop], float(step)
        active = active & ~stop
        if not active.any():
            break
        _step(deltas, loss[active].sum(), optimiser, limits)
        emphasis = search.objective.emphasis(seen)
        if stop.any():
            gone = ~active[rows.edit]
            anchors = {name: _without(logp, seen, gone) for name, logp in anchors.items()}
            rows = rows.without(gone)
            frozen = frozen.without(gone, rows)
    return done


def _origin(rows: Rows, seen: Tensor, shifted: bool) -> tuple[Tensor, Tensor]:
    """h [n, d_h] and |h| [n] of a site's output [rows, d_h]: the bare prompt's, or over contexts and over all rows."""
    seen = seen.to(torch.promote_types(seen.dtype, torch.float32))
    if not shifted:
        initial = seen[rows.bare()]
        return initial, initial.norm(dim=1)
    edits, contexts = int(rows.edit.max()) + 1, rows.contexts()
    total = seen.new_zeros(edits, seen.shape[1])
    mean = total.index_add(0, rows.edit[contexts], seen[contexts])
    mean = mean / torch.bincount(rows.edit[contexts], minlength=edits)[:, None]
    squares = (seen**2).sum(dim=1) * rows.entered
    return mean, mean.new_zeros(edits).index_add(0, rows.edit, squares).sqrt()


def _step(deltas: Sequence[Tensor], loss: Tensor, optimiser: torch.optim.Optimizer, limits: Sequence[Tensor]) -> None:
    """One step of Adam, then every δ back into its ball."""
    for delta, grad in zip(deltas, torch.autograd.grad(loss, list(deltas)), strict=True):
        delta.grad = grad
    optimiser.step()
    with torch.no_grad():
        for delta, limit in zip(deltas, limits, strict=True):
            norm = delta.norm(dim=1)
            delta.mul_(torch.where(norm > limit, limit / norm, 1.0)[:, None])


def _look(
    model: nn.Module,
    modules: ModuleMap,
    rows: Rows,
    frozen: Frozen,
    search: Search,
    deltas: tuple[Tensor, ...],
    norms: tuple[Tensor, ...],
) -> Seen:
    """One pass with the vectors added: log p at the places that the objective reads.

    δ on the MLP's output is δ on the residual stream where the block adds its MLP's output to it as it is.
    """
    asked = _asked(rows, search.objective, frozen.order)
    added = {vector.site: delta[rows.edit] for vector, delta in zip(search.vectors, deltas, strict=True)}
    if search.shifted:
        added = {site: delta * rows.entered[:, None].to(delta.dtype) for site, delta in added.items()}
    logits, looked = proceed(model, modules, rows, frozen, added, list(asked.values()), search.lens)
    logp: dict[Place, Tensor] = {place: one.log_softmax(dim=-1) for place, one in zip(asked, logits, strict=True)}
    rows_of = {place: row for place, (row, _) in asked.items()}
    if looked is not None:
        logp["lens"], rows_of["lens"] = looked.log_softmax(dim=-1), torch.arange(len(looked), device=looked.device)
    return Seen(rows, logp, rows_of, deltas, norms)


def _asked(rows: Rows, objective: Objective, order: Tensor) -> dict[Place, tuple[Tensor, Tensor]]:
    """Row and column (from `start` on) of every logit that is needed, per place, rows in this order."""
    essence = order[rows.essence[order]]
    place, column = (rows.labels[order, rows.start :] != IGNORED).nonzero(as_tuple=True)
    row = order[place]
    ends = rows.mask[essence, rows.start :].sum(dim=1) - 1
    found: dict[Place, tuple[Tensor, Tensor]] = {
        "target": (row, column),
        "essence": (essence, torch.zeros_like(essence)),
        "essence_end": (essence, ends),
    }
    return {place: where for place, where in found.items() if place in objective.places}


def _as_asked(logp: Mapping[Place, Tensor], rows: Rows, order: Tensor) -> dict[Place, Tensor]:
    """An anchor that was read row by row, in the order in which rows are asked."""
    essence = rows.essence.nonzero(as_tuple=True)[0]
    read = {"target": (rows.labels != IGNORED).nonzero(as_tuple=True)[0], "essence": essence, "essence_end": essence}
    back = order.argsort()
    return {place: one[back[read[place]].argsort(stable=True)] if place in read else one for place, one in logp.items()}


def _without(logp: Mapping[Place, Tensor], seen: Seen, gone: Tensor) -> dict[Place, Tensor]:
    """An anchor without the rows that are gone."""
    return {place: one[~gone[seen.row[place]]] for place, one in logp.items()}


def _of(prompts: Prompts, edits: Sequence[int]) -> Prompts:
    return prompts.select(torch.isin(prompts.edit, torch.tensor(edits)))


def _teaching(
    model: nn.Module, modules: ModuleMap, prompts: Prompts, essence: Prompts, lens: int | None
) -> dict[Place, Tensor]:
    """What the model itself says to the teacher's rows, per place, in the order in which a search reads them."""
    ends = (torch.arange(len(essence), device=essence.ids.device), essence.lengths - 1)
    row, token = (prompts.labels != IGNORED).nonzero(as_tuple=True)
    told, told_lens = speak(model, modules, prompts, (row, token), lens)
    kept, kept_lens = speak(model, modules, essence, ends, lens)
    found: dict[Place, Tensor] = {"target": told.log_softmax(dim=-1), "essence_end": kept.log_softmax(dim=-1)}
    if told_lens is not None and kept_lens is not None:
        found["lens"] = torch.cat([told_lens, kept_lens]).log_softmax(dim=-1)
    return found


def _joined(found: Sequence[tuple[list[int], Values]]) -> Values:
    """The chunks' values in the edits' order."""
    parts = [values for _, values in found]
    back = torch.tensor([index for chunk, _ in found for index in chunk], device=parts[0].target.device).argsort()
    names = ("initial", "target", "loss", "steps")
    return Values(**{name: torch.cat([getattr(part, name) for part in parts])[back] for name in names})
