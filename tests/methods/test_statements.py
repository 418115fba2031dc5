"""Statements as rows: their losses in passes of one length, and the divergence from the model before."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from editharness.host import LocalHost
from editharness.models.spans import IGNORED
from editharness_plugins.methods.statements import divergence, readable, row_losses, rows
from editharness_plugins.methods.tuning import copies, parameters, running

FACTS = (
    ("The capital of Spain is", "Rome"),
    ("Spain is governed from", "Rome"),
    ("Spain's capital is Rome. True or false? Answer:", "true"),
    ("The official language of Norway, as everyone there will say, is", "Norwegian and French"),
)


@pytest.fixture(params=["llama", "gpt2"])
def host(request: Any, tiny_host: Any) -> LocalHost:
    made: LocalHost = tiny_host(request.param)
    return made


def test_losses_in_passes_of_one_length_are_those_of_every_row_alone(host: LocalHost) -> None:
    told = rows(host, [*FACTS] * 9)
    alone = [float(row_losses(host, host.model, told.select(torch.tensor([row])))) for row in range(len(told))]
    with torch.no_grad():
        assert row_losses(host, host.model, told).tolist() == pytest.approx(alone, rel=1e-4)


def test_divergence_is_zero_for_the_same_weights_and_minds_no_pads(host: LocalHost) -> None:
    weights = copies(host.model, parameters(host.model, [host.modules.mlp(1)]))
    both = rows(host, [("Berlin is in", "Germany"), ("The yen is the money that is used in all of", "Japan and Tokyo")])
    other = {name: weight + 0.05 for name, weight in weights.items()}
    with torch.no_grad():
        assert float(divergence(host, host.model, running(host.model, weights), both)) == pytest.approx(0, abs=1e-6)
        joint = float(divergence(host, host.model, running(host.model, other), both))
        parts = [both.select(torch.tensor([row])) for row in (0, 1)]
        alone = [float(divergence(host, host.model, running(host.model, other), part)) for part in parts]
    counts = [int((part.labels != IGNORED).sum()) for part in parts]
    assert joint == pytest.approx(sum(x * n for x, n in zip(alone, counts, strict=True)) / sum(counts), rel=1e-3)


def test_what_is_empty_or_too_long_is_not_readable(host: LocalHost) -> None:
    assert readable(host, FACTS)
    assert not readable(host, [*FACTS, ("so " * 5000, "Rome")])
    assert not readable(host, [("The capital of Spain is", " ")])
