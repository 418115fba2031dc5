"""LoRA: low-rank adapters tuned on the targets, then merged (Hu et al., ICLR 2022; as an editor: EasyEdit).

    W' = W + (alpha / r) B A,    A [r, d_in] random, B [d_out, r] zero,    L = −log p(target | prompt)

The adapters are peft's; they are computed, merged into a change of the weights, and the model's modules are as before.
Dropout is 0 and everything in eval mode: in EasyEdit the adapters' dropout of 0.1 stays active while the edited model
is measured. Every batch gets adapters of its own, on top of the earlier batches' (EasyEdit trains one adapter on).

Only LoRA: EasyEdit's "adalora" never calls peft's `update_and_allocate`, so no rank is ever allocated and `rank` is
ignored in favour of peft's own initial one, and current peft refuses its settings (no total_step).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from editharness.locate.batch import encodable, in_storage
from editharness.locate.forward import label_losses
from editharness.method import Host, Method
from editharness.models.capture import submodule
from editharness.patch import Dense, LowRank, WeightPatch
from editharness.types import Edit, State, Step
from editharness_plugins.methods.options.fine_tuning import LoraOptions
from editharness_plugins.methods.tuning import descend, finish

if TYPE_CHECKING:
    from torch import Tensor

ADAPTER = "edit"


class Lora(Method[LoraOptions]):
    """Adapters on the chosen linear maps of all layers."""

    def edit(self, host: Host, edits: Sequence[Edit], state: State) -> Step:
        """All edits of the batch into one adapter per linear map."""
        usable, failed = encodable(host, edits)
        if not usable:
            return Step(None, state, tuple(failed.values()))
        with adapted(host, self.maps(host), self.options) as adapters:
            losses, steps = self.tune(host, adapters, usable)
            deltas = {f"{name}.weight": merged(adapter) for name, adapter in adapters.items()}
        return finish(edits, usable, failed, WeightPatch(deltas), losses, steps, state)

    def tune(self, host: Host, adapters: Mapping[str, Any], edits: Sequence[Edit]) -> tuple[list[float], int]:
        """Passes over the edits; each edit's last loss and the passes."""
        o, head = self.options, submodule(host.model, host.modules.head)
        weights = [factor for adapter in adapters.values() for factor in factors(adapter)]
        optimiser = torch.optim.Adam(weights, lr=o.lr, weight_decay=o.weight_decay)
        batches = [host.encode(edits[i : i + o.batch_size]) for i in range(0, len(edits), o.batch_size)]
        for step in range(1, o.steps + 1):
            losses: list[float] = []
            for batch in batches:
                with torch.enable_grad():
                    loss = label_losses(head, batch.to(host.device), host.model)
                losses += loss.tolist()
                descend(optimiser, weights, loss.mean())
            host.progress(step, o.steps, "steps")
            if sum(losses) / len(losses) < o.loss_stop:
                break
        return losses, step

    def maps(self, host: Host) -> list[str]:
        """The linear maps that get an adapter, found by what they are."""
        modules, layers = host.modules, self.options.layers or range(host.modules.layers)
        if self.options.modules == "query_value":
            return [name for layer in layers for name in modules.query_value(layer)]
        part = modules.attention if self.options.modules == "attention" else modules.mlp
        return [
            f"{part(layer)}.{name}"
            for layer in layers
            for name, module in submodule(host.model, part(layer)).named_modules()
            if isinstance(module, nn.Linear | Conv1D)
        ]


@contextmanager
def adapted(host: Host, maps: Sequence[str], options: LoraOptions) -> Iterator[dict[str, Any]]:
    """Peft's adapters in the model, in fp32 and eval mode, by the names of their maps; on exit it is as it was."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=options.rank, lora_alpha=options.alpha, lora_dropout=0.0, bias="none", target_modules=list(maps),
        fan_in_fan_out=isinstance(submodule(host.model, maps[0]), Conv1D),
    )  # fmt: skip
    with host.recording(*(f"{name}.weight" for name in maps)):
        with torch.random.fork_rng(devices=[]):
            inject_adapter_in_model(config, host.model, adapter_name=ADAPTER)
        adapters = {name: submodule(host.model, name).eval() for name in maps}
        for adapter in adapters.values():
            begin(adapter, host.rng)
        yield adapters


def begin(adapter: Any, rng: torch.Generator) -> None:
    """B = 0, and A as peft draws it, but from the run's generator; both in fp32."""
    for part in (adapter.lora_A, adapter.lora_B):
        part.float()
    down, up = factors(adapter)
    bound = 1 / math.sqrt(down.shape[1])
    with torch.no_grad():
        down.copy_(torch.empty(down.shape).uniform_(-bound, bound, generator=rng))
        up.zero_()
    for factor in (down, up):
        factor.requires_grad_()


def factors(adapter: Any) -> tuple[Tensor, Tensor]:
    """A [r, d_in] and B [d_out, r] of one of peft's layers."""
    return adapter.lora_A[ADAPTER].weight, adapter.lora_B[ADAPTER].weight


def merged(adapter: Any) -> LowRank | Dense:
    """(alpha / r) B A in the orientation that the adapted map stores."""
    down, up = (factor.detach().clone() for factor in factors(adapter))
    return in_storage(LowRank(up * adapter.scaling[ADAPTER], down), isinstance(adapter.get_base_layer(), Conv1D))
