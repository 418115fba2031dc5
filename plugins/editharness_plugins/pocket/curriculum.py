"""Draws what to train on next: facts and forms that the model still gets wrong come up more often."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor

from editharness_plugins.pocket.forms import SHARES, Fact, Sentence

FLOOR, PACE = 0.25, 0.25


class Curriculum:
    """Keeps a running error rate per fact and form.

    `ways`: the ways in which each form is put, as the prefix of its name, with their shares of the training.
    """

    def __init__(self, facts: list[Fact], ways: Mapping[str, float]) -> None:
        self.forms = [way + form for way in ways for form in SHARES]
        self.base = numpy.zeros((len(facts), len(self.forms)))
        for row, fact in enumerate(facts):
            shares = fact.shares or SHARES
            for way, part in ways.items():
                for form in fact.forms():
                    self.base[row, self.forms.index(way + form)] = fact.weight * shares.get(form, 0.0) * part
        self.wrong: NDArray[numpy.float64] = numpy.ones_like(self.base)

    def draw(self, rng: random.Random, count: int) -> list[tuple[int, str]]:
        """Facts with the form each is to be shown in."""
        totals = numpy.cumsum(self.base * (FLOOR + self.wrong))
        points = numpy.array([rng.random() for _ in range(count)]) * totals[-1]
        places = numpy.searchsorted(totals, points, side="right")
        width = len(self.forms)
        return [(int(place) // width, self.forms[int(place) % width]) for place in places]

    def update(self, answers: list[tuple[Sentence, int, int]], right: Tensor) -> None:
        """Take note of which answers of a batch were right; negated prompts have no single right answer."""
        flags = right.tolist()
        for sentence, start, end in answers:
            place = sentence.fact, self.forms.index(sentence.form)
            missed = 0.15 if not sentence.graded else 0.0 if all(flags[start:end]) else 1.0
            self.wrong[place] += PACE * (missed - self.wrong[place])

    def summary(self) -> str:
        """Mean error rate per form."""
        used = self.base > 0
        means = {form: self.wrong[used[:, i], i] for i, form in enumerate(self.forms)}
        return " ".join(f"{form} {values.mean():.3f}" for form, values in means.items() if len(values))

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"wrong": torch.from_numpy(self.wrong)}

    def restore(self, state: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.wrong = state["wrong"].numpy()
