"""Options of fine-tuning, adapters, UltraEdit, knowledge neurons and the oracle. Torch-free, named as in --set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from editharness.options import option


@dataclass(frozen=True)
class TuningOptions:
    """Adam on the weights of one layer."""

    layer: int | None = option(None, "the layer to tune; none: chosen by depth", low=0)
    steps: int = option(25, "passes over the edits", low=1, high=10000)
    lr: float = option(0.0005, "learning rate of Adam", low=0)
    weight_decay: float = option(0.0, "weight decay of Adam", low=0)
    batch_size: int = option(1, "edits per step of Adam", low=1)
    loss_stop: float = option(0.01, "no step on a batch below this loss; done when the mean is", low=0)


@dataclass(frozen=True)
class FtOptions(TuningOptions):
    """FT-L and FT-M: one down projection, its change bounded or not."""

    norm: float | None = option(None, "largest change of any one weight; none: unbounded", low=0)


@dataclass(frozen=True)
class LocFtOptions(TuningOptions):
    """LocFT-BF: the edits as one data set, in shuffled batches."""

    batch_size: int = option(100, "edits per step of Adam", low=1)
    tuned: Literal["down", "block"] = option("down", "the layer's down projection, or its whole block")
    append_eos: bool = option(True, "teach that the text ends after the answer")


@dataclass(frozen=True)
class LoraOptions:
    """LoRA adapters, merged into the weights."""

    modules: Literal["query_value", "attention", "mlp"] = option(
        "query_value", "linear maps that get an adapter: queries and values (or what they are fused in), all, the MLP's"
    )
    layers: tuple[int, ...] = option((), "layers that get adapters; empty: all", low=0)
    rank: int = option(8, "rank r of an adapter", low=1)
    alpha: float = option(32.0, "an adapter counts alpha / r", low=0)
    steps: int = option(50, "passes over the edits", low=1, high=10000)
    lr: float = option(0.005, "learning rate of Adam", low=0)
    weight_decay: float = option(0.0, "weight decay of Adam", low=0)
    batch_size: int = option(1, "edits per step of Adam", low=1)
    loss_stop: float = option(0.0, "done when the mean loss of a pass is below this; 0: never before the last", low=0)


@dataclass(frozen=True)
class UltraEditOptions:
    """UltraEdit: which maps are changed, and by how much."""

    gate: tuple[int, ...] = option((), "layers whose gate is changed; no layer of any kind: chosen by depth", low=0)
    up: tuple[int, ...] = option((), "layers whose up projection is changed", low=0)
    down: tuple[int, ...] = option((), "layers whose down projection is changed", low=0)
    eta: float = option(1e-6, "step size on normalised gradients", low=0)
    ridge: float = option(1.0, "weight of small changes in the least-squares solve", low=1e-9)
    prior_tokens: int = option(10, "tokens that the statistics begin with, at the first batch's scale", low=0)


@dataclass(frozen=True)
class KnOptions:
    """Knowledge neurons: how they are found, and how strongly they are rewritten."""

    steps: int = option(20, "points of the integral per layer", low=1, high=1000)
    threshold: float = option(0.2, "neurons above this part of the largest attribution are rewritten", low=0, high=1)
    strength: float = option(2.0, "weight of the answers' embeddings that are written", low=0)
    embedding: Literal["input", "output"] = option("input", "input embeddings, or the head's rows where it is untied")
    row_limit: int = option(64, "rows per forward pass; speed only", low=1)


@dataclass(frozen=True)
class OracleOptions:
    """The oracle: fine-tuning on a fact in all its forms."""

    layers: tuple[int, ...] = option((), "layers whose MLPs are tuned; empty: chosen by depth", low=0)
    steps: int = option(200, "most steps of Adam per batch of edits", low=1, high=100000)
    lr: float = option(0.0005, "learning rate of Adam at the first step; falls to nothing", low=0)
    batch_size: int = option(64, "statements per step; as many kept ones beside them", low=1)
    floor: float = option(
        0.3, "statements are drawn in proportion to their last loss, which counts at least this and at most 1",
        low=1e-6, high=1,
    )  # fmt: skip
    keep: float = option(1.0, "weight of the KL divergence on statements of the train split", low=0)
    texts: int = option(4000, "most statements of the train split that are kept", low=0)
    check: int = option(10, "steps between two looks at the held-out forms", low=1)
    patience: int = option(3, "looks without progress before it stops", low=1)
