"""FT-M: fine-tuning one down projection on the target tokens alone (Zhang et al., "A comprehensive study", 2024).

The loss is masked to the target: −log p(target | prompt), mean over its tokens. `norm` bounds the change of every
single weight (Zhu et al., 2020). The weights being tuned are fp32 copies; the model itself is never touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.func import functional_call

from editharness.locate.batch import encodable
from editharness.locate.forward import label_losses
from editharness.locate.options import FtOptions
from editharness.method import Host, Method
from editharness.patch import Dense, WeightPatch
from editharness.types import Edit, State, Status, Step

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.models.spans import Prompts


class FtM(Method[FtOptions]):
    """Fine-tuning with the masked objective."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """Adam over the batch until its mean loss is below `loss_stop`."""
        usable, failed = encodable(host, edits)
        if not usable:
            return Step(None, state, tuple(failed.values()))
        before = self.weights(host)
        after, losses, steps = self.tune(host, before, usable)
        deltas = {name: Dense((after[name] - before[name]).detach()) for name in before}
        done = {
            e.id: Status(e.id, "done", facts={"loss": x, "steps": steps}) for e, x in zip(usable, losses, strict=True)
        }
        if not all(bool(dense.delta.isfinite().all()) for dense in deltas.values()):
            done = {e.id: Status(e.id, "failed", "fine-tuning left the numbers: lower lr") for e in usable}
        statuses = tuple({**done, **failed}[edit.id] for edit in edits)
        return Step(WeightPatch(deltas) if any(s.outcome == "done" for s in statuses) else None, state, statuses)

    def tune(
        self, host: Host, before: dict[str, Tensor], edits: Sequence[Edit]
    ) -> tuple[dict[str, Tensor], list[float], int]:
        """The tuned weights, each edit's last loss and the passes over the edits."""
        o = self.options
        weights = {name: weight.clone().requires_grad_() for name, weight in before.items()}
        optimiser = torch.optim.Adam(weights.values(), lr=o.lr, weight_decay=o.weight_decay)
        batches = [edits[i : i + o.batch_size] for i in range(0, len(edits), o.batch_size)]
        for step in range(1, o.steps + 1):
            losses: list[float] = []
            for batch in batches:
                loss = self.losses(host, weights, host.encode(batch))
                losses += loss.tolist()
                if loss.mean() >= o.loss_stop:
                    gradients = torch.autograd.grad(loss.mean(), list(weights.values()))
                    for weight, gradient in zip(weights.values(), gradients, strict=True):
                        weight.grad = gradient
                    optimiser.step()
                self.bound(weights, before)
            host.progress(step, o.steps, "steps")
            if sum(losses) / len(losses) < o.loss_stop:
                break
        return weights, losses, step

    def losses(self, host: Host, weights: dict[str, Tensor], prompts: Prompts) -> Tensor:
        """−log p of the target, mean over its tokens, per edit [n]."""
        stored = host.model.get_parameter(host.modules.down_weight(self.layer(host))).dtype
        cast = {name: weight.to(stored) for name, weight in weights.items()}

        def model(**inputs: Tensor | bool) -> object:
            return functional_call(host.model, cast, kwargs=inputs)

        with torch.enable_grad():
            return label_losses(host.model.get_submodule(host.modules.head), prompts.to(host.device), model)

    def bound(self, weights: dict[str, Tensor], before: dict[str, Tensor]) -> None:
        """Keep every weight within `norm` of where it began."""
        if self.options.norm is not None:
            with torch.no_grad():
                for name, weight in weights.items():
                    weight.clamp_(before[name] - self.options.norm, before[name] + self.options.norm)

    def weights(self, host: Host) -> dict[str, Tensor]:
        """The tuned parameters, a bias included, in fp32."""
        path = host.modules.down_projection(self.layer(host))
        module = host.model.get_submodule(path)
        return {f"{path}.{name}": p.detach().float().clone() for name, p in module.named_parameters()}

    def layer(self, host: Host) -> int:
        """The tuned layer."""
        chosen = self.options.layer
        return host.modules.layers * 2 // 3 if chosen is None else chosen
