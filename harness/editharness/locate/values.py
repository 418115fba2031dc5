"""Target values: for each edit, the vector at the subject's last token that makes the model say the target.

    z = h + δ,   δ = argmin  mean_j −log p(target | context_j) + kl KL(now ‖ before)["<subject> is a"] + decay |δ|/|h|²

(ROME eq. 4, MEMIT eq. 16.) Many edits are searched at once: one Adam over [edits, d_h] is one Adam per edit, since
Adam works elementwise. What the search never changes is computed once: the layers up to the site, and above it the
attention keys and values of all tokens before the subject's last. An edit's numbers do not depend on its neighbours.

What published code does and published numbers rest on, kept here: the KL is that of the current distribution to the
initial one, read at the subject's last token; the decay divides |δ| by |h|²; the last of `steps` passes takes no step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from editharness.locate.forward import Frozen, chunks, freeze, proceed
from editharness.locate.rows import Rows, aligned
from editharness.models.spans import IGNORED

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.locate.options import ValueOptions
    from editharness.models.modules import ModuleMap
    from editharness.models.spans import Prompts

Site = Literal["block", "mlp"]


@dataclass(frozen=True)
class Values:
    """Per edit: the site's output on the bare prompt and the target value [n, d_h] fp32; loss reached and steps [n]."""

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
    site: Site = "block",
    progress: Callable[[int, int], None] | None = None,
) -> Values:
    """Search the values of all edits of `prompts` (edit-major, bare prompt first, with targets) at `layer`.

    `essence` holds one "<subject> is a" per edit. `site` "block" is the residual stream after the layer (MEMIT), "mlp"
    the MLP's output (ROME). An edit whose loss is not finite keeps NaN as its target.
    """
    device = next(model.parameters()).device
    rows, edits = aligned(prompts, essence), len(essence)
    per_edit = len(rows.edit) // edits
    found: list[tuple[list[int], Values]] = []
    for chunk in chunks([length * per_edit for length in rows.suffixes()], options.row_tokens):
        found.append((chunk, _search(model, modules, layer, rows.take(chunk).to(device), options, site)))
        if progress is not None:
            progress(sum(len(part) for part, _ in found), edits)
    return _joined(found)


def _search(model: nn.Module, modules: ModuleMap, layer: int, rows: Rows, options: ValueOptions, site: Site) -> Values:
    """One chunk, from the first pass to the last edit's stop."""
    name = modules.block(layer) if site == "block" else modules.mlp(layer)
    frozen = freeze(model, modules, layer, rows, name)
    initial = frozen.seen[rows.bare()].float()
    delta = torch.zeros_like(initial, requires_grad=True)
    optimiser = torch.optim.Adam([delta], lr=options.lr)
    norm, none = initial.norm(dim=1), initial.new_zeros(len(initial))
    done = Values(initial, torch.full_like(initial, torch.nan), none.clone(), none.clone())
    active, before = none == 0, None
    for step in range(options.steps):
        with torch.enable_grad():
            nll, now = _reading(_logits(model, modules, rows, frozen, delta), rows, len(initial))
            before = now.detach() if before is None else before
            kl = none.index_add(0, rows.edit[rows.essence], (now.exp() * (now - before)).sum(dim=1))
            loss = nll + options.kl_weight * kl + options.weight_decay * delta.norm(dim=1) / norm**2
        broken, last = ~loss.isfinite(), step == options.steps - 1
        stop = active & ((loss < options.loss_stop) | broken | last)
        done.target[stop & ~broken] = (initial + delta).detach()[stop & ~broken]
        done.loss[stop], done.steps[stop] = loss.detach()[stop], float(step)
        active = active & ~stop
        if not active.any():
            break
        _step(delta, loss[active].sum(), optimiser, options.clamp * norm)
        if stop.any():
            gone = ~active[rows.edit]
            before, rows, frozen = before[~gone[rows.essence]], rows.without(gone), frozen.without(gone)
    return done


def _step(delta: Tensor, loss: Tensor, optimiser: torch.optim.Optimizer, limit: Tensor) -> None:
    """One step of Adam, then every δ back into its ball."""
    (delta.grad,) = torch.autograd.grad(loss, [delta])
    optimiser.step()
    with torch.no_grad():
        norm = delta.norm(dim=1)
        delta.mul_(torch.where(norm > limit, limit / norm, 1.0)[:, None])


def _logits(model: nn.Module, modules: ModuleMap, rows: Rows, frozen: Frozen, delta: Tensor) -> Tensor:
    """Logits [positions, vocabulary] fp32 with δ added at the subjects' last tokens: labels first, then essence rows.

    δ on the MLP's output is δ on the residual stream: the block adds its MLP's output to it.
    """
    width = rows.mask.shape[1] - rows.start
    moved = (frozen.stream[:, :1].float() + delta[rows.edit][:, None]).to(frozen.stream.dtype)
    stream = torch.cat([moved, frozen.stream[:, 1:width]], dim=1)
    row, column = (rows.labels[:, rows.start :] != IGNORED).nonzero(as_tuple=True)
    essence = rows.essence.nonzero(as_tuple=True)[0]
    asked = torch.cat([row, essence]), torch.cat([column, torch.zeros_like(essence)])
    return proceed(model, modules, rows, frozen, stream, asked)


def _reading(logits: Tensor, rows: Rows, edits: int) -> tuple[Tensor, Tensor]:
    """Mean over an edit's rows of the mean over target tokens of −log p [n]; log p at the essence rows."""
    logp = logits.log_softmax(dim=-1)
    asked = rows.labels != IGNORED
    row = asked.nonzero(as_tuple=True)[0]
    contexts = torch.zeros(edits, device=logp.device).index_add(0, rows.edit, (~rows.essence).float())
    weight = 1.0 / (asked.sum(dim=1)[row] * contexts[rows.edit[row]])
    picked = logp[: len(row)].gather(1, rows.labels[asked][:, None])[:, 0]
    return torch.zeros(edits, device=logp.device).index_add(0, rows.edit[row], -picked * weight), logp[len(row) :]


def _joined(found: Sequence[tuple[list[int], Values]]) -> Values:
    """The chunks' values in the edits' order."""
    parts = [values for _, values in found]
    back = torch.tensor([index for chunk, _ in found for index in chunk], device=parts[0].target.device).argsort()
    names = ("initial", "target", "loss", "steps")
    return Values(**{name: torch.cat([getattr(part, name) for part in parts])[back] for name in names})
