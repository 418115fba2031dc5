"""A patch goes on later and comes off bit for bit, or says why not and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.export.models import base, full_rank, low_rank, made, opened

from editharness.errors import EditHarnessError, MethodError
from editharness.export.patches import UNDO, put_on, read_patch, take_off, write_patch
from editharness.export.provenance import Provenance
from editharness.models.load import LoadedModel, weights_digest
from editharness.patch import WeightPatch, apply, join
from editharness.testing.tiny import FAMILIES


def saved(loaded: LoadedModel, folder: Path, dtype: str = "float32") -> tuple[WeightPatch, Provenance]:
    """A patch with low-rank and full changes, written to `folder`."""
    patch = join(low_rank(loaded.model), full_rank(loaded.model))
    assert isinstance(patch, WeightPatch)
    return patch, made(loaded, base=base(loaded, dtype)).edited(write_patch(loaded.model, patch, folder))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_on_and_off_again(tmp_path: Path, family: str, dtype: str) -> None:
    loaded = opened(tmp_path / "base", family, dtype)
    patch, told = saved(loaded, tmp_path / "patch", dtype)
    assert weights_digest(loaded.model) == loaded.digest, "the model is as it was"
    again = opened(tmp_path / "base", family, dtype)
    with put_on(again, read_patch(tmp_path / "patch"), told) as digest, apply(loaded.model, patch):
        assert digest == told.edited_digest == weights_digest(loaded.model)
    assert weights_digest(again.model) == loaded.digest
    edited = opened(tmp_path / "base", family, dtype)
    apply(edited.model, patch)
    other = _reloaded(edited, told)
    take_off(other, tmp_path / "patch", told)
    assert weights_digest(other.model) == loaded.digest


def _reloaded(loaded: LoadedModel, told: Provenance) -> LoadedModel:
    """The edited model as a loaded one."""
    assert weights_digest(loaded.model) == told.edited_digest
    return replace(loaded, digest=told.edited_digest)


def test_what_does_not_fit_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    patch, told = saved(loaded, tmp_path / "patch")
    other, half = opened(tmp_path / "gpt", "gpt2"), opened(tmp_path / "base", "llama", "bfloat16")
    wide = opened(tmp_path / "wide", "llama", hidden=48)
    twice = opened(tmp_path / "base", "llama")
    apply(twice.model, patch)
    twice.model.get_parameter("model.norm.weight").detach().mul_(2)
    wrong = [
        (lambda: take_off(loaded, tmp_path / "patch", told), "does not have this patch: there is nothing to undo"),
        (lambda: take_off(other, tmp_path / "patch", told), "has no parameter 'model.layers.0.mlp.down_proj.weight'"),
        (lambda: take_off(half, tmp_path / "patch", told), "as 32x96 bfloat16, and the patch was made for 32x96 float"),
        (lambda: take_off(wide, tmp_path / "patch", told), "as 48x144 float32, and the patch was made for 32x96"),
        (lambda: take_off(_digested(twice), tmp_path / "patch", told), "something else was changed as well"),
        (lambda: take_off(twice, tmp_path / "patch", None), "has no export.json"),
        (lambda: put_on(_digested(loaded, told), patch, told).__enter__(), "has this patch already"),
        (lambda: put_on(other, patch, told).__enter__(), "the model has no parameter"),
        (lambda: put_on(wide, patch, told).__enter__(), "has shape (32, 96), the weight (48, 144)"),
    ]
    for do, line in wrong:
        models = [one.model for one in (loaded, other, half, wide, twice)]
        before = [weights_digest(model) for model in models]
        with pytest.raises(EditHarnessError) as caught:
            do()
        assert line in str(caught.value)
        assert "\n" not in str(caught.value)
        assert [weights_digest(model) for model in models] == before


def _digested(loaded: LoadedModel, told: Provenance | None = None) -> LoadedModel:
    return replace(loaded, digest=told.edited_digest if told else weights_digest(loaded.model))


def test_an_undo_that_was_tampered_with_or_left_out_is_seen(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    patch, told = saved(loaded, tmp_path / "patch")
    apply(loaded.model, patch)
    edited = _reloaded(loaded, told)
    tensors = load_file(tmp_path / "patch" / UNDO)
    name = min(tensors)
    save_file({**tensors, name: tensors[name] + torch.eye(*tensors[name].shape)}, tmp_path / "patch" / UNDO)
    with pytest.raises(MethodError, match="something else was changed as well"):
        take_off(edited, tmp_path / "patch", told)
    assert weights_digest(edited.model) == told.edited_digest
    (tmp_path / "patch" / UNDO).write_bytes(b"none")
    with pytest.raises(EditHarnessError, match="cannot be read"):
        take_off(edited, tmp_path / "patch", told)
    (tmp_path / "patch" / UNDO).unlink()
    with pytest.raises(EditHarnessError, match=r"no such file \(saved with --no-undo\?\)"):
        take_off(edited, tmp_path / "patch", told)


def test_a_patch_may_be_saved_without_undo(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    write_patch(loaded.model, low_rank(loaded.model), tmp_path / "patch", undo=False)
    assert sorted(path.name for path in (tmp_path / "patch").iterdir()) == ["patch.json", "patch.safetensors"]
