"""Options of the hypernetworks. Torch-free; names are the ones that --set takes.

`layers` counts from 0; left empty, a method edits the layers that its published settings edit at their depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from editharness.options import option


@dataclass(frozen=True)
class HypernetworkOptions:
    """What is edited, how large the nets are, and how long they are trained."""

    layers: tuple[int, ...] = option((), "layers to edit; empty: chosen by depth", low=0)
    projections: tuple[Literal["gate", "up", "down"], ...] = option(
        ("gate", "up", "down"), "linear maps of the MLP to edit"
    )
    rank: int = option(1920, "width inside a block of the nets, at most d_in + d_out", low=1)
    blocks: int = option(2, "blocks of the nets", low=1)
    steps: int | None = option(10000, "training steps; none: once through the train cases", low=0)
    edits: int = option(1, "edits written together in a training step", low=1)
    lr: float = option(1e-6, "learning rate of Adam", low=0)
    clip: float = option(1.0, "largest norm of a gradient", low=0)
    edit_weight: float = option(1.0, "weight of giving the new answer", low=0)
    loc_weight: float = option(1.0, "weight of leaving unrelated questions as they were", low=0)
    outer: Literal["paraphrase", "prompt", "both"] = option(
        "paraphrase", "where the edited model is asked for the answer in training"
    )
    keep_every: int = option(100, "training steps between two copies to go on from", low=1)
    row_tokens: int = option(4096, "tokens per forward pass; speed and memory only", low=1)


@dataclass(frozen=True)
class MendOptions(HypernetworkOptions):
    """MEND; a step is one of Adam, over `accumulate` groups of `edits`."""

    clip: float = option(100.0, "largest norm of a gradient", low=0)
    accumulate: int = option(10, "groups of edits per step of Adam", low=1)
    edit_weight: float = option(0.1, "weight of giving the new answer", low=0)
    scale: float = option(0.0001, "learnt step size of every weight, at the start", low=0)
    scale_lr: float = option(0.0001, "learning rate of Adam for the step sizes", low=0)


@dataclass(frozen=True)
class MalmenOptions(HypernetworkOptions):
    """MALMEN; a step is one of Adam, over one group of `edits`."""

    projections: tuple[Literal["gate", "up", "down"], ...] = option(("down",), "linear maps of the MLP to edit")
    edits: int = option(512, "edits written together in a training step", low=1)
    steps: int | None = option(None, "training steps; none: once through the train cases", low=0)
    lr: float = option(1e-5, "learning rate of Adam", low=0)
    scale: float = option(1e-6, "learnt step size of every weight, at the start", low=0)
    ridge: float = option(1.0, "learnt ridge of every weight, at the start", low=1e-12)
    tokens: Literal["answer", "all"] = option("answer", "tokens whose outputs are shifted")
    net_tokens: int = option(1024, "tokens per pass through a net; memory only", low=1)


@dataclass(frozen=True)
class RleditOptions(MalmenOptions):
    """RLEdit; a step is one group of `edits` further along a trajectory of edited models."""

    projections: tuple[Literal["gate", "up", "down"], ...] = option(("gate", "up"), "linear maps of the MLP to edit")
    rank: int = option(1024, "width inside a block of the nets, at most d_in + d_out", low=1)
    blocks: int = option(4, "blocks of the nets", low=1)
    edits: int = option(20, "edits written together in a training step", low=1)
    steps: int | None = option(400, "groups of edits along all trajectories; none: once through the train cases", low=0)
    loc_weight: float = option(0.6, "weight of leaving unrelated questions as they were", low=0)
    net_tokens: int = option(128, "tokens per pass through a net; memory only", low=1)
    back_depth: int = option(10, "latest groups of edits that must still hold", low=1)
    discount: float = option(0.95, "weight of a group relative to the one after it", low=0, high=1)
    updates: int = option(1, "steps of Adam, evenly over all training steps; 0: the moments alone are learnt", low=0)
    trajectory: int | None = option(None, "groups after which the weights start anew; none: never", low=1)
