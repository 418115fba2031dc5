"""LocalHost over a tiny real model: moments of the unedited weights, templates, originals, encoding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.models.load import LoadedModel
from editharness.patch import Dense, WeightPatch
from editharness.types import Edit

TEXTS = ("the tower stands in Paris", "a river runs through Rome", "the tower is old", "Paris and Rome are old")


@pytest.fixture
def host(tiny_llama: LoadedModel, tmp_path: Path) -> LocalHost:
    return LocalHost(tiny_llama, seed=3, texts=TEXTS, cache=tmp_path)
