"""What every fine-tuning method does round its objective: fp32 copies of some weights, tuned; the model is not touched.

The model runs with the copies in place of its own weights (torch.func), so a bf16 model is tuned in fp32 and rounded
only where it runs. The change is what the copies gained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch.func import functional_call

from editharness.locate.batch import encodable
from editharness.locate.forward import label_losses
from editharness.method import Host, Method
from editharness.patch import Dense, WeightPatch
from editharness.patch.values import tensors
from editharness.patch.writing import editable
from editharness.types import Edit, State, Status, Step
from editharness_plugins.methods.options.fine_tuning import TuningOptions

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.models.spans import Prompts

Weights = dict[str, "Tensor"]
Forward = Callable[..., Any]
OptionsT = TypeVar("OptionsT", bound=TuningOptions)


class FineTuning(Method[OptionsT]):
    """Adam on the weights of one layer until the mean loss of a pass is below `loss_stop`.

    A method says what is tuned (`parameters`) and what the loss is (`rows`, `losses`); `order` and `bound` may differ.
    """

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """All edits of the batch in one run of Adam."""
        usable, failed = encodable(host, edits)
        if not usable:
            return Step(None, state, tuple(failed.values()))
        before = copies(host.model, self.parameters(host))
        after, losses, steps = self.tune(host, before, usable)
        return finish(edits, usable, failed, gained(before, after), losses, steps, state)

    def tune(self, host: Host, before: Weights, edits: Sequence[Edit]) -> tuple[Weights, list[float], int]:
        """The tuned weights, each edit's last loss and the passes; a batch below `loss_stop` makes no step."""
        o, weights = self.options, {name: weight.clone().requires_grad_() for name, weight in before.items()}
        optimiser = torch.optim.Adam(weights.values(), lr=o.lr, weight_decay=o.weight_decay)
        rows, losses = self.rows(host, edits), [0.0] * len(edits)
        for step in range(1, o.steps + 1):
            order = self.order(host, len(edits))
            for batch in (order[i : i + o.batch_size] for i in range(0, len(order), o.batch_size)):
                with torch.enable_grad():
                    loss = self.losses(host, running(host.model, weights), rows.select(torch.tensor(batch)))
                for index, value in zip(batch, loss.tolist(), strict=True):
                    losses[index] = value
                if loss.mean() >= o.loss_stop:
                    descend(optimiser, weights.values(), loss.mean())
                self.bound(weights, before)
            host.progress(step, o.steps, "steps")
            if sum(losses) / len(losses) < o.loss_stop:
                break
        return weights, losses, step

    def parameters(self, host: Host) -> list[str]:
        """The tuned parameters: the layer's down projection, a bias included."""
        return parameters(host.model, [host.modules.down_projection(self.layer(host))])

    def rows(self, host: Host, edits: Sequence[Edit]) -> Prompts:
        """One row per edit, with what it is asked for as labels."""
        return host.encode(edits)

    def losses(self, host: Host, forward: Forward, rows: Prompts) -> Tensor:
        """One loss per row [n]; `forward` runs the model with the weights as tuned so far."""
        return answer_losses(host, forward, rows)

    def order(self, host: Host, count: int) -> list[int]:
        """The order of the edits in a pass."""
        return list(range(count))

    def bound(self, weights: Weights, before: Weights) -> None:
        """What is done to the weights after a step; nothing here."""

    def layer(self, host: Host) -> int:
        """The tuned layer: two thirds of the way up where none is given."""
        chosen = self.options.layer
        return host.modules.layers * 2 // 3 if chosen is None else chosen


def parameters(model: nn.Module, modules: Iterable[str]) -> list[str]:
    """The names of all parameters of these modules."""
    return [f"{path}.{name}" for path in modules for name, _ in model.get_submodule(path).named_parameters()]


def copies(model: nn.Module, names: Iterable[str]) -> Weights:
    """Parameters in fp32, apart from the model; raises MethodError for one that is on no device."""
    return {name: editable(model, name).float().clone() for name in names}


def running(model: nn.Module, weights: Mapping[str, Tensor]) -> Forward:
    """The model's forward pass with `weights` (any dtype) in place of its own."""
    cast = {name: weight.to(model.get_parameter(name).dtype) for name, weight in weights.items()}

    def forward(**inputs: Tensor | bool) -> Any:
        return functional_call(model, cast, kwargs=inputs)

    return forward


def answer_losses(host: Host, forward: Forward, prompts: Prompts) -> Tensor:
    """−log p of the answer, mean over its tokens, per row [n]; neither prompt nor pads count."""
    return label_losses(host.model.get_submodule(host.modules.head), prompts.to(host.device), forward)


def descend(optimiser: torch.optim.Optimizer, weights: Iterable[Tensor], loss: Tensor) -> None:
    """One step on `loss`; no gradient is left anywhere but on `weights`."""
    tuned = list(weights)
    for weight, gradient in zip(tuned, torch.autograd.grad(loss, tuned), strict=True):
        weight.grad = gradient
    optimiser.step()


def gained(before: Weights, after: Weights) -> WeightPatch:
    """What the copies gained."""
    return WeightPatch({name: Dense((after[name] - before[name]).detach()) for name in before})


def finish(
    edits: Sequence[Edit], tuned: Sequence[Edit], failed: Mapping[str, Status],
    patch: WeightPatch, losses: Sequence[float], steps: int, state: State,
) -> Step:  # fmt: skip
    """The patch with a status per edit, in order; failed where it left the numbers: a loss, or the whole patch."""
    sound = all(bool(tensor.isfinite().all()) for tensor in tensors(patch))
    made = {
        edit.id: Status(edit.id, "done", facts={"loss": loss, "steps": steps})
        if sound and math.isfinite(loss)
        else Status(edit.id, "failed", "fine-tuning left the numbers: lower lr")
        for edit, loss in zip(tuned, losses, strict=True)
    }
    statuses = tuple({**made, **failed}[edit.id] for edit in edits)
    done = any(status.outcome == "done" for status in statuses)
    return Step(patch if done else None, state, statuses)
