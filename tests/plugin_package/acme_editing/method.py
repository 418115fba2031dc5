"""A few steps of normalised gradient descent on the last layer's down projection."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from acme_editing.options import TuneOptions
from editharness.method import Host, Method
from editharness.models.spans import Prompts
from editharness.types import Edit, State, Status, Step


class TuneLastLayer(Method[TuneOptions]):
    """Changes the model in place; `host.recording` puts it back and keeps the change as a patch."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """All edits of the batch at once."""
        name = host.modules.down_weight(host.modules.layers - 1)
        prompts = host.encode(edits)
        with host.recording(name) as recorded:
            weight = host.model.get_parameter(name)
            for done in range(self.options.steps):
                host.progress(done, self.options.steps, "tuning")
                loss = _descend(host.model, weight, prompts, self.options.step_size)
        return Step(recorded.patch, state, tuple(Status(edit.id, "done", facts={"loss": loss}) for edit in edits))


def _descend(model: nn.Module, weight: Tensor, prompts: Prompts, size: float) -> float:
    """One step along the gradient, `size` times the weight's norm long; the loss before it."""
    weight.requires_grad_(True)
    with torch.enable_grad():
        logits = model(input_ids=prompts.ids, attention_mask=prompts.mask).logits
        loss = cross_entropy(logits.flatten(0, 1).float(), prompts.labels.flatten(), ignore_index=-100)
        (gradient,) = torch.autograd.grad(loss, weight)
    weight.requires_grad_(False)
    with torch.no_grad():
        weight -= size * weight.norm() * gradient / gradient.norm().clamp(min=1e-12)
    return float(loss.detach())
