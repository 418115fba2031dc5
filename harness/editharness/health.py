"""Is an edited model still a language model? Its loss on a few ordinary texts, while an arm is being written.

    loss(text) = - mean over its tokens but the first of ln p(token | tokens before)          nats per token

A model has collapsed where the mean over the texts is not finite, or not below ln(vocabulary), the loss of a uniform
guess (unless the unedited model was no better). The reverse does not hold: a model far below that may still have lost
what it knew.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from editharness.errors import UsageError
from editharness.locate.forward import chunks
from editharness.models.spans import encode_texts
from editharness.plan import ArmLayout
from editharness.protocol import Point, Series
from editharness.resume.keeper import NOTHING, Entry, Keeper
from editharness.rows import Rows, publishing
from editharness.timeline import Timeline
from editharness.types import StateId

TEXTS, LONGEST = 16, 64
"""How many texts are measured, and how many tokens of each."""
_BUDGET = 256
"""Tokens at once: logits over a large vocabulary must stay small beside the model."""


@dataclass(frozen=True)
class Reading:
    """Loss by text after `edits` written facts; empty where some loss is not finite."""

    edits: int
    losses: Mapping[str, float]


class Gauge:
    """Measures a model on fixed texts; `stop`: an arm whose model has collapsed is written no further."""

    def __init__(self, model: Any, tokenizer: Any, texts: Sequence[str], *, stop: bool = False) -> None:
        longest = min(LONGEST, getattr(model.config, "max_position_embeddings", None) or LONGEST)
        encoded = [ids[:longest] for ids, _ in encode_texts(tokenizer, _spread(texts)) if len(ids) > 1]
        if len(encoded) < 2:
            raise UsageError("the corpus has fewer than two texts of two tokens: the model's health cannot be measured")
        self.ids, self.stop = encoded, stop
        self.uniform = math.log(model.get_output_embeddings().weight.shape[0])

    def read(self, model: Any, edits: int) -> Reading:
        """The losses of `model` as it is."""
        found: dict[int, float] = {}
        for rows in chunks([len(ids) for ids in self.ids], _BUDGET):
            losses = _losses(model, [self.ids[row] for row in rows])
            found.update(zip(rows, losses, strict=True))
        if not all(map(math.isfinite, found.values())):
            return Reading(edits, {})
        return Reading(edits, {f"text {row + 1}": found[row] for row in sorted(found)})

    def collapsed(self, reading: Reading) -> bool:
        """Whether the model predicted text no better than a uniform guess."""
        losses = reading.losses.values()
        return not losses or math.fsum(losses) / len(losses) >= self.uniform


class Watch:
    """Takes the readings of one arm: unedited, where it will be asked, at its end; at every step if it may stop it.

    `readings` keeps all but those of steps that nobody asks; `collapsed` is the number of edits at the first that
    had collapsed.
    """

    def __init__(
        self, gauge: Gauge | None, timeline: Timeline, layout: ArmLayout, asked: Collection[int],
        keeper: Keeper = NOTHING,
    ) -> None:  # fmt: skip
        self.gauge = gauge if layout.carry else None
        self.timeline, self.layout, self.asked, self.keeper = timeline, layout, asked, keeper
        self.readings: list[Reading] = []
        self.collapsed: int | None = None
        self.lost_before = False
        if self.gauge is not None and layout.written:
            self.readings.append(self._read(self.gauge, ("", 0, "carried"), 0))
            self.lost_before = self.gauge.collapsed(self.readings[0])

    def stops(self, step: int, place: StateId) -> bool:
        """Take the reading after a step, at the place where it will be asked; whether the arm must end there."""
        if self.gauge is None or not (self.gauge.stop or step in self.asked):
            return False
        reading = self._read(self.gauge, place, self.layout.written[step])
        gone = not reading.losses or (self.gauge.collapsed(reading) and not self.lost_before)
        if gone and self.collapsed is None:
            self.collapsed = reading.edits
        if gone or step in self.asked:
            self.readings.append(reading)
        return gone and self.gauge.stop

    def _read(self, gauge: Gauge, place: StateId, edits: int) -> Reading:
        """The reading at a place, taken once: an interrupted run has kept it."""
        name = f"reading {self.layout.arm} {edits}"
        kept = self.keeper.get(name)
        if kept is not None:
            return Reading(edits, kept.facts)
        with self.timeline.at(place) as model:
            reading = gauge.read(model, edits)
        self.keeper.put(name, Entry(dict(reading.losses)))
        return reading


def text_loss(readings: Mapping[str, Sequence[Reading]]) -> tuple[Series, ...]:
    """Arm -> readings, as one series per arm."""
    title = f"loss on {TEXTS} texts of the model's corpus (at most), nats per token"
    names = {arm: "text loss" if len(readings) == 1 else f"text loss, {arm}" for arm in readings}
    return tuple(
        Series(names[arm], title, "lower", [Point(r.edits, None, r.losses) for r in taken], False, "nats")
        for arm, taken in readings.items()
        if taken
    )


def _spread(texts: Sequence[str]) -> list[str]:
    """A fixed sample: texts at equal distances, so that no seed and no order of edits moves it."""
    count = min(TEXTS, len(texts))
    return [texts[i * len(texts) // count] for i in range(count)]


@torch.no_grad()
def _losses(model: Any, texts: Sequence[Sequence[int]]) -> list[float]:
    """Loss of each text, padded on the right."""
    device = next(model.parameters()).device
    lengths = torch.tensor([len(ids) for ids in texts], device=device)
    ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long, device=device)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text, device=device)
    mask = torch.arange(ids.shape[1], device=device) < lengths[:, None]
    # to modules that ask where the prompt ends, a text is an answer to its first token
    with publishing(Rows.of_scoring(torch.ones_like(lengths), mask)):
        logits = model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
    logp = logits[:, :-1].float().log_softmax(dim=-1).gather(2, ids[:, 1:, None])[:, :, 0]
    # where, not times: the loss of padding may be infinite
    told = torch.where(mask[:, 1:], logp, 0.0).double().sum(dim=1)
    return [float(loss) for loss in -told / (lengths - 1)]
