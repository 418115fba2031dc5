"""A long sequence: does the 20th batch of edits cost what the first one did?"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import shapes

from editharness.editing import write_arm
from editharness.host import LocalHost
from editharness.locate.options import AlphaEditOptions
from editharness.models.load import LoadedModel
from editharness.timeline import Timeline
from editharness.types import MethodSpec, Schedule
from editharness_plugins.methods.alphaedit import AlphaEdit

BELOW = 0.9
"""The share of directions that count as the null space of random weights, which have none of their own."""


def batches(shape: str, count: int, size: int) -> list[float]:
    """Wall seconds of each batch of a sequential AlphaEdit, second moments apart."""
    wanted = shapes.SHAPES[shape]
    model, tokenizer = shapes.make(wanted)
    loaded = LoadedModel(model, tokenizer, shape, None, "memory", "not taken", 0, "Llama", Path())
    host = LocalHost(loaded, seed=0, texts=shapes.texts(400, wanted.words, (20, 60)))
    layers = (1, 2, 3)
    spectra = [host.moments(layer, together=layers).spectrum[0] for layer in layers]
    threshold = max(float(values[int(BELOW * len(values))]) for values in spectra)
    method = AlphaEdit(AlphaEditOptions(layers=layers, templates=0, threshold=threshold))
    spec = MethodSpec(name="alphaedit", title="", paper="", ref="")
    facts = shapes.facts(count * size, wanted.words)
    moments = [time.perf_counter()]
    write_arm(
        "sequence", spec, method, facts, Schedule(size, carry=True), host, Timeline(model, host.masters, digest="-"),
        applied=lambda step: moments.append(time.perf_counter()),
    )  # fmt: skip
    return [after - before for before, after in itertools.pairwise(moments)]
