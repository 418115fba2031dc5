"""Second moment files as ROME and MEMIT write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from editharness.errors import DataError
from editharness.locate.importing import layer_of, read_npz
from editharness.models.modules import module_map
from editharness.testing.tiny import tiny


def written(path: Path, **changed: Any) -> Path:
    keys = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    fields = {"mom2.constructor": "SecondMoment()", "mom2.count": 50, "mom2.mom2": keys.T @ keys, "sample_size": 50}
    np.savez(path, **{**fields, **changed})  # type: ignore[arg-type]
    return path


def test_the_mean_is_the_sum_over_the_count(tmp_path: Path) -> None:
    path = written(tmp_path / "model.layers.1.mlp.down_proj_float32_mom2_50.npz")
    keys = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32))
    found = read_npz(path, 6)
    torch.testing.assert_close(found.c.float(), keys.mT @ keys / 50)
    assert found.tokens == 50
    assert found.provenance["file"] == path.name
    assert layer_of(path, module_map(tiny("llama")[0])) == 1


def test_layer_1_is_not_layer_11(tmp_path: Path) -> None:
    model, _ = tiny("gpt2", layers=12)
    assert layer_of(tmp_path / "transformer.h.11.mlp.c_proj_float32_mom2_100000.npz", module_map(model)) == 11
    with pytest.raises(DataError, match="say which with --layer"):
        layer_of(tmp_path / "transformer.h.12.mlp.c_proj_float32_mom2_100000.npz", module_map(model))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mom2.count": 0}, "counts 0 tokens"),
        ({"mom2.mom2": np.full((6, 6), np.nan)}, "not finite"),
        ({"mom2.mom2": np.arange(36.0).reshape(6, 6)}, "not symmetric"),
        ({"mom2.mom2": np.eye(5)}, "keys of this layer have 6"),
        ({"mom2.mom2": np.array([object()], dtype=object)}, "cannot be read"),
    ],
)
def test_what_is_no_second_moment_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_npz(written(tmp_path / "x.npz", **changed), 6)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no zip")
    np.savez(tmp_path / "other.npz", a=np.eye(6))
    for name, said in {"text.npz": "cannot be read", "none.npz": "cannot be read", "other.npz": "has no 'mom2"}.items():
        with pytest.raises(DataError, match=said):
            read_npz(tmp_path / name, 6)
