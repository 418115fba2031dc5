from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from editharness.errors import RecordError, UnknownNameError
from editharness.patch import Dense, LowRank, ModulePatch, RouterPatch, WeightPatch, load, save


@dataclass(frozen=True)
class Scaled:
    """Both a module's and a router's recipe."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "scaled"

    def build(self, original: nn.Module) -> nn.Module:
        return original

    def route(self, context: str) -> tuple[str, str]:
        return f"{self.config['told']} {context}", "base"


KINDS = {"scaled": lambda tensors, config: Scaled(tensors, config)}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_weights_come_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    square = torch.randn(4, 4).to(dtype)
    low = LowRank(square[:, :2], square.T[:2])  # views that share memory, as solvers return them
    save(WeightPatch({"model.x.weight": low, "b/c": Dense(square.T)}), tmp_path / "patch")
    back = load(tmp_path / "patch")
    assert isinstance(back, WeightPatch)
    assert list(back.deltas) == ["b/c", "model.x.weight"]
    found, dense = back.deltas["model.x.weight"], back.deltas["b/c"]
    assert isinstance(found, LowRank)
    assert isinstance(dense, Dense)
    assert torch.equal(found.a, low.a)
    assert torch.equal(found.b, low.b)
    assert torch.equal(dense.delta, square.T)
    assert found.a.dtype == dtype


def test_modules_and_routers_come_back_through_their_kind(tmp_path: Path) -> None:
    recipe = Scaled({"keys": torch.arange(3), "radius": torch.tensor(1.5)}, {"told": "Imagine that", "layers": [1, 2]})
    save(ModulePatch({"a.mlp": recipe, "b": Scaled({})}), tmp_path)
    modules = load(tmp_path, KINDS)
    assert isinstance(modules, ModulePatch)
    assert set(modules.swaps) == {"a.mlp", "b"}
    assert torch.equal(modules.swaps["a.mlp"].tensors["keys"], torch.arange(3))
    assert modules.swaps["a.mlp"].config == recipe.config
    save(RouterPatch(recipe), tmp_path)  # replaces what is there
    router = load(tmp_path, KINDS)
    assert isinstance(router, RouterPatch)
    assert router.router.route("x") == ("Imagine that x", "base")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["patch.json", "patch.safetensors"]


def test_a_file_never_chooses_code(tmp_path: Path) -> None:
    save(RouterPatch(Scaled({}, kind="os.system")), tmp_path)
    with pytest.raises(UnknownNameError, match=r"unknown recipe kind 'os.system': known: scaled \(install the plugin"):
        load(tmp_path, KINDS)


def test_an_empty_patch(tmp_path: Path) -> None:
    save(WeightPatch({}), tmp_path)
    assert load(tmp_path) == WeightPatch({})


def test_files_that_are_no_patch(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no patch in .*: patch\.json is missing"):
        load(tmp_path)
    (tmp_path / "patch.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RecordError, match=r"no patch in .*: patch\.safetensors is missing"):
        load(tmp_path)
    save(WeightPatch({"w": Dense(torch.zeros(2, 2))}), tmp_path)
    described = json.loads((tmp_path / "patch.json").read_text(encoding="utf-8"))
    for change, text in [
        ({"format": "x"}, "does not describe a patch"),
        ({"version": 9}, "has version 9, this program reads 1"),
        ({"entries": {"v": "dense"}}, "is not whole: 'v/delta'"),
        ({"entries": {"w": "sparse"}}, "neither dense nor low_rank"),
        ({"entries": 3}, "is not whole"),
        ({"effect": "magic"}, "unknown effect 'magic'"),
    ]:
        (tmp_path / "patch.json").write_text(json.dumps(described | change), encoding="utf-8")
        with pytest.raises(RecordError, match=text):
            load(tmp_path)
    (tmp_path / "patch.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "patch.json").write_text(json.dumps(described), encoding="utf-8")
    (tmp_path / "patch.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RecordError, match="cannot be read"):
        load(tmp_path)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RecordError, match=r"cannot be written to .*file"):
        save(WeightPatch({}), tmp_path / "file")
    with pytest.raises(RecordError, match="its config is not JSON"):
        save(RouterPatch(Scaled({}, {"told": object()})), tmp_path / "new")
    assert not (tmp_path / "new" / "patch.json").exists()
