"""Options of the memories. Torch-free; names are the ones that --set takes; layers count from 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from editharness.options import option

_MODULE = "the MLP's linear map: down, or up (GPT-2's c_fc)"


@dataclass(frozen=True)
class GraceOptions:
    """A codebook beside one linear map."""

    layer: int | None = option(None, "the layer; none: five sixths of the way up", low=0)
    module: Literal["down", "up"] = option("down", _MODULE)
    steps: int = option(50, "steps of Adam per edit", low=1, high=10000)
    lr: float = option(1.0, "learning rate of Adam", low=0)
    eps: float = option(1.0, "radius of a new key, in units of the layer's input", low=0)
    init: Literal["cold", "warm"] = option("cold", "a value begins as noise in [0, 1), or warm as the layer's output")
    replace: Literal["last", "prompt", "all"] = option(
        "last", "outputs that a value replaces: at the last prompt token, at those before it, or everywhere"
    )
    expand: Literal["coverage", "moving_average"] = option(
        "coverage", "an answer that is there: widen its radius, or move its key half way too"
    )
    only_wrong: bool = option(False, "leave out edits that the model answers already, as the paper does")


@dataclass(frozen=True)
class WiseOptions:
    """Side memories of one linear map, and a router."""

    layer: int | None = option(None, "the layer; none: five sixths of the way up", low=0)
    module: Literal["down", "up"] = option("down", _MODULE)
    steps: int = option(70, "steps of SGD per edit", low=1, high=10000)
    lr: float = option(1.0, "learning rate of SGD", low=0)
    weight_decay: float = option(0.00001, "weight decay of SGD", low=0)
    norm: float | None = option(1.0, "largest change of any one weight; none: unbounded", low=0)
    mask_ratio: float = option(0.2, "share of the weights that a shard of edits may change", low=0, high=1)
    alpha: float = option(5.0, "margin: unrelated text must stay below this score", low=0)
    beta: float = option(20.0, "margin: an edit's prompts must reach this score", low=0)
    gamma: float = option(10.0, "margin between the two", low=0)
    act_ratio: float = option(0.88, "a memory answers from this share of its edits' lowest score on", low=0)
    save_freq: int = option(500, "edits per side memory", low=1)
    merge_freq: int = option(1000, "edits after which side memories are merged; a multiple of save_freq", low=1)
    density: float = option(0.53, "share of a memory's largest changes that merging keeps", low=0, high=1)
    retrieve: bool = option(True, "keep merged memories apart and choose; false: merge all into one")
    route: Literal["prefill", "reference"] = option(
        "prefill", "decide on the prompt and hold to it; reference: on all tokens so far, at every step, without cache"
    )
    long: int | None = option(100, "texts of more tokens are scored by their largest token; none: the mean", low=1)
    templates: int = option(10, "sampled contexts beside the bare prompt, half of 5 and half of 10 tokens", low=0)

    def __post_init__(self) -> None:
        if self.merge_freq % self.save_freq:
            raise ValueError(f"merge_freq {self.merge_freq} must be a multiple of save_freq {self.save_freq}")


@dataclass(frozen=True)
class TPatcherOptions:
    """Neurons beside the last MLP."""

    neurons: int = option(5, "neurons per edit at most: one per wrong target token", low=1)
    steps: int = option(2000, "steps of Adam per edit at most", low=1, high=100000)
    lr: float = option(0.01, "learning rate of Adam", low=0)
    weight_decay: float = option(0.01, "weight decay of Adam", low=0)
    amplifier: float = option(10.0, "a value begins as this times noise", low=0)
    activation_weight: float = option(1.0, "weight of a neuron's own activation", low=0)
    memory_weight: float = option(10.0, "weight of staying off elsewhere", low=0)
    margin: float = option(3.0, "how far below 0, and below the edit, neurons stay elsewhere", low=0)
    worst: int = option(1000, "pairs of a neuron and a remembered state that count: the highest", low=1)
    memory: int = option(10000, "hidden states of train texts to remember", low=1)
    first_check: int = option(100, "step of the first look whether to stop", low=1)
    check_every: int = option(25, "steps between looks", low=1)
