"""The options of the method: its --set keys, with help and limits."""

from dataclasses import dataclass

from editharness.options import option


@dataclass(frozen=True)
class TuneOptions:
    """How far the weights move."""

    steps: int = option(10, "gradient steps per batch of edits", low=1, high=1000)
    step_size: float = option(0.1, "length of a step, as a share of the weight's norm", low=0, high=1)
