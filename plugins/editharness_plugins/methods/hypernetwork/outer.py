"""The training losses of an edited model and their gradient in the edited weights, chunk by chunk.

A hypernetwork's loss depends on its numbers φ only through the change: L(W + Δ(φ)). So the language model is left with
D = ∂L/∂W, summed over chunks, and the net's part is the gradient of ⟨D, Δ(φ)⟩: no graph is kept through both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from editharness.locate.forward import chunks, label_losses, only_positions
from editharness.models.spans import IGNORED
from editharness_plugins.methods.hypernetwork.maps import Edited

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.method import Host
    from editharness.models.spans import Prompts

Weights = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Pull:
    """A loss [] and its gradient in the edited weights, by parameter name, as stored."""

    loss: Tensor
    gradient: Weights

    def plus(self, other: Pull, weight: float) -> Pull:
        """This and `weight` times the other."""
        gradient = {name: self.gradient[name] + weight * other.gradient[name] for name in self.gradient}
        return Pull(self.loss + weight * other.loss, gradient)


def no_pull(weights: Weights, device: torch.device) -> Pull:
    """No loss yet."""
    return Pull(torch.zeros((), device=device), {name: torch.zeros_like(weight) for name, weight in weights.items()})


def answer_pull(host: Host, weights: Weights, prompts: Prompts, budget: int) -> Pull:
    """−log p of the labels under the edited model, mean over a row's labels and over rows."""

    def loss(part: Prompts, model: Edited) -> Tensor:
        return label_losses(model.get_submodule(host.modules.head), part, model).sum() / len(prompts)

    return _summed(host, weights, prompts, budget, loss)


def unrelated_pull(host: Host, before: Weights, after: Weights, prompts: Prompts, budget: int, *, every: bool) -> Pull:
    """KL(before ‖ after) of the next token, mean over positions: those of the answers, or (`every`) of all tokens."""
    asked = prompts.mask if every else prompts.labels != IGNORED
    count = int(asked.sum())

    def loss(part: Prompts, model: Edited) -> Tensor:
        place = (part.mask if every else part.labels != IGNORED).nonzero(as_tuple=True)
        with torch.no_grad():
            wanted = _log_p(host, Edited(host.model, before), part, place)
        return (wanted.exp() * (wanted - _log_p(host, model, part, place))).sum() / count

    return _summed(host, after, prompts, budget, loss)


def _log_p(host: Host, model: Edited, part: Prompts, place: tuple[Tensor, ...]) -> Tensor:
    row, position = place
    with only_positions(model.get_submodule(host.modules.head), row, position):
        logits: Tensor = model(input_ids=part.ids, attention_mask=part.mask, use_cache=False).logits
    return logits.float().log_softmax(dim=-1)


def _summed(
    host: Host, weights: Weights, prompts: Prompts, budget: int, loss: Callable[[Prompts, Edited], Tensor]
) -> Pull:
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    found = no_pull(weights, host.device)
    for rows in chunks(prompts.mask.sum(dim=1).tolist(), budget):
        part = prompts.select(torch.tensor(rows)).to(host.device)
        with torch.enable_grad():
            value = loss(part, Edited(host.model, leaves))
            gradient = torch.autograd.grad(value, list(leaves.values()))
        found = found.plus(Pull(value.detach(), dict(zip(leaves, gradient, strict=True))), 1.0)
    return found
