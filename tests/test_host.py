"""LocalHost over a tiny real model: everything about the unedited model stays so while edits are applied."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.models.load import LoadedModel, load_model, weights_digest
from editharness.patch import Dense, WeightPatch, apply
from editharness.testing.tiny import TEXT, save_tiny
from editharness.types import Edit

EDIT = Edit("0", "The capital of Germany is", (15, 22), "Rome")


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedModel:
    return load_model(str(save_tiny("llama", tmp_path / "model")), device="cpu")


def host_of(loaded: LoadedModel, cache: Path | None = None) -> LocalHost:
    return LocalHost(loaded, seed=3, texts=TEXT, cache=cache)


def heavy(host: LocalHost) -> WeightPatch:
    name = host.modules.down_weight(0)
    return WeightPatch({name: Dense(torch.ones_like(host.model.get_parameter(name)))})


def test_unedited_things_do_not_see_edits(loaded: LoadedModel) -> None:
    wanted = host_of(loaded)
    templates, moments = wanted.templates(3, 6), wanted.moments(1)
    host = host_of(loaded)
    name = host.modules.down_weight(0)
    original = host.original(name)
    with apply(host.model, heavy(host), host.masters):
        edited = weights_digest(host.model)
        assert host.templates(3, 6) == templates
        assert torch.equal(host.moments(1).c, moments.c)
        assert torch.equal(host.original(name), original)
        assert weights_digest(host.model) == edited
    assert weights_digest(host.model) == loaded.digest


def test_moments_come_together_once_and_from_disk(loaded: LoadedModel, tmp_path: Path) -> None:
    asked: list[int] = []

    def texts() -> Sequence[str]:
        asked.append(1)
        return TEXT

    first = LocalHost(loaded, seed=0, texts=texts, cache=tmp_path)
    assert not asked
    both = first.moments(0, together=(0, 1))
    files = sorted((tmp_path / "moments").iterdir())
    assert len(files) == 2
    assert first.moments(0) is both
    first.moments(1)
    assert asked == [1]
    again = host_of(loaded, tmp_path).moments(0)
    assert torch.equal(again.c, both.c)
    assert again.provenance == both.provenance
    assert sorted((tmp_path / "moments").iterdir()) == files
    other = LocalHost(loaded, seed=0, texts=TEXT[:2], cache=tmp_path).moments(0)
    assert not torch.equal(other.c, both.c)


def test_templates_are_seeded(loaded: LoadedModel) -> None:
    host = host_of(loaded)
    assert host.templates(4, 7) == host_of(loaded).templates(4, 7)
    assert LocalHost(loaded, seed=4).templates(4, 7) != host.templates(4, 7)


def test_encode_and_recording(loaded: LoadedModel) -> None:
    host = host_of(loaded)
    prompts = host.encode([EDIT], ("{}", "So. {}"))
    assert prompts.ids.shape[0] == 2
    assert host.device == prompts.to(host.device).ids.device
    with host.recording("*down_proj.weight") as record:
        host.model.get_parameter(host.modules.down_weight(2)).mul_(2)
    assert record.patch is not None
    assert list(record.patch.deltas) == [host.modules.down_weight(2)]
    assert weights_digest(host.model) == loaded.digest


def test_without_texts_moments_say_what_to_give(loaded: LoadedModel) -> None:
    with pytest.raises(MethodError, match="second moments need texts"):
        LocalHost(loaded, seed=0).moments(0)
