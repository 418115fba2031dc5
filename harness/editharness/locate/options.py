"""Options of the locate-then-edit methods. Torch-free; names are the ones that --set takes.

`layers` counts from 0. Left empty, a method edits the layers that published settings edit at their depth: an eighth to
a quarter of the way up (layers 4-8 of Llama's 32).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from editharness.options import option


@dataclass(frozen=True)
class ValueOptions:
    """How a target value is searched: Adam on one vector per edit."""

    steps: int = option(25, "forward passes per value; the last takes no step", low=1, high=1000)
    lr: float = option(0.5, "learning rate of Adam", low=0)
    weight_decay: float = option(0.5, "weight of |delta| / |h|^2 in the loss", low=0)
    clamp: float = option(0.75, "largest |delta| as a multiple of |h|", low=0)
    kl_weight: float = option(0.0625, "weight of keeping '<subject> is a' as it was", low=0)
    loss_stop: float = option(0.05, "an edit is done when its loss is below this", low=0)
    row_tokens: int = option(1024, "tokens per forward pass; speed only", low=1)


@dataclass(frozen=True)
class RomeOptions(ValueOptions):
    """ROME and C-ROME: one layer, one edit at a time."""

    weight_decay: float = option(0.001, "weight of |delta| / |v|^2 in the loss", low=0)
    clamp: float = option(4.0, "largest |delta| as a multiple of |v|", low=0)
    layer: int | None = option(None, "the layer to edit; none: chosen by depth", low=0)
    templates: int = option(20, "sampled contexts beside the bare prompt, half of 5 and half of 10 tokens", low=0)
    covariance: bool = option(True, "use the second moments of keys; false: the identity in their place")
    key_mode: Literal["mixed", "mean", "bare"] = option(
        "mixed", "mixed: ROME's own; mean: one key over all contexts (C-ROME); bare: the bare prompt's (p-ROME)"
    )


@dataclass(frozen=True)
class CRomeOptions(RomeOptions):
    """C-ROME is ROME with one consistent key."""

    key_mode: Literal["mixed", "mean", "bare"] = option("mean", "mean is C-ROME; see rome")


@dataclass(frozen=True)
class MemitOptions(ValueOptions):
    """MEMIT and what derives from it: several layers, many edits at once."""

    layers: tuple[int, ...] = option((), "layers to edit, ascending; empty: chosen by depth", low=0)
    covariance_weight: float = option(15000.0, "weight of the second moments: how much old knowledge counts", low=0)
    templates: int = option(5, "sampled contexts beside the bare prompt", low=0)
    template_length: int = option(10, "tokens of a sampled context, its first words included", low=2)
    prior: bool = option(True, "protect the keys of earlier edits of the run (no effect on the first batch)")

    def __post_init__(self) -> None:
        if any(a >= b for a, b in zip(self.layers, self.layers[1:], strict=False)):
            raise ValueError(f"layers must ascend, got {','.join(map(str, self.layers))}")


@dataclass(frozen=True)
class FtOptions:
    """Constrained fine-tuning of one down projection on the target tokens."""

    layer: int | None = option(None, "the layer to tune; none: chosen by depth", low=0)
    steps: int = option(25, "passes over the edits", low=1, high=10000)
    lr: float = option(0.0005, "learning rate of Adam", low=0)
    weight_decay: float = option(0.0, "weight decay of Adam", low=0)
    batch_size: int = option(1, "edits per step of Adam", low=1)
    norm: float | None = option(None, "largest change of any one weight; none: unbounded", low=0)
    loss_stop: float = option(0.01, "no step on a batch below this loss; done when the mean is", low=0)
