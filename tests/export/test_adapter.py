"""An adapter is what stock peft loads, and then the model says what the edited one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.export.models import base, draw, full_rank, logits, low_rank, opened
from transformers import AutoModelForCausalLM

from editharness.errors import MethodError
from editharness.export.adapter import write_adapter
from editharness.models.load import LoadedModel, quiet
from editharness.patch import Dense, LowRank, WeightPatch, apply
from editharness.testing.tiny import FAMILIES


def through_peft(loaded: LoadedModel, folder: Path, dtype: str = "float32") -> tuple[Any, Any]:
    """The base with the adapter beside it, and merged into it."""
    made = []
    for _ in range(2):
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(loaded.folder, dtype=dtype)
            made.append(PeftModel.from_pretrained(model, folder).eval())
    return made[0], made[1].merge_and_unload()


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_gives_the_logits_of_the_edited_model(tmp_path: Path, family: str) -> None:
    loaded = opened(tmp_path / "base", family)
    patch = low_rank(loaded.model)
    fit = write_adapter(loaded.model, patch, base(loaded), tmp_path)
    beside, merged = through_peft(loaded, tmp_path)
    assert (fit.rank, fit.error) == (4, 0.0)
    assert str(fit) == "rank 4, exact"
    with apply(loaded.model, patch):
        wanted = logits(loaded.model)
        torch.testing.assert_close(logits(beside), wanted, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(logits(merged), wanted, atol=1e-4, rtol=1e-4)
        for name in patch.deltas:
            torch.testing.assert_close(merged.get_parameter(name), loaded.model.get_parameter(name))
    assert (logits(loaded.model) - wanted).abs().max() > 0.05


def test_a_bf16_base_is_as_near_as_its_numbers_are(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama", "bfloat16")
    patch = low_rank(loaded.model)
    write_adapter(loaded.model, patch, base(loaded, "bfloat16"), tmp_path)
    assert load_file(tmp_path / "adapter_model.safetensors").popitem()[1].dtype == torch.float32
    _, merged = through_peft(loaded, tmp_path, "bfloat16")
    with apply(loaded.model, patch):
        for name in patch.deltas:
            torch.testing.assert_close(merged.get_parameter(name), loaded.model.get_parameter(name))


def test_its_configuration_says_scale_one_and_names_every_map(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "gpt2")
    write_adapter(loaded.model, low_rank(loaded.model), base(loaded), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 4
    assert config["fan_in_fan_out"] is True
    assert config["target_modules"] == ["transformer.h.0.mlp.c_proj", "transformer.h.2.mlp.c_proj"]
    assert config["base_model_name_or_path"] == "tiny"


def test_with_a_rank_the_error_is_told_and_true(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    patch = full_rank(loaded.model)
    fit = write_adapter(loaded.model, patch, base(loaded), tmp_path, rank=3)
    ((name, delta),) = patch.deltas.items()
    assert isinstance(delta, Dense)
    _, merged = through_peft(loaded, tmp_path)
    held = merged.get_parameter(name) - loaded.model.get_parameter(name)
    error = float((held - delta.delta).norm() / delta.delta.norm())
    assert 0.5 < fit.error < 1
    assert fit.error == pytest.approx(error, rel=1e-3)
    assert fit.errors[name] == fit.error
    assert str(fit).startswith("rank 3, relative error 0.")


def test_a_full_matrix_of_low_rank_needs_no_rank(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    ((name, low),) = low_rank(loaded.model, (1,)).deltas.items()
    assert isinstance(low, LowRank)
    fit = write_adapter(loaded.model, WeightPatch({name: Dense(low.a @ low.b)}), base(loaded), tmp_path)
    assert (fit.rank, fit.error) == (3, 0.0)


@pytest.mark.parametrize(
    ("family", "name", "noun"),
    [
        ("gpt2", "transformer.h.0.mlp.c_proj.bias", "a bias"),
        ("llama", "model.embed_tokens.weight", "an embedding"),
        ("llama", "model.norm.weight", "a weight of LlamaRMSNorm"),
    ],
)
def test_what_peft_cannot_hold_is_refused(tmp_path: Path, family: str, name: str, noun: str) -> None:
    loaded = opened(tmp_path / "base", family)
    patch = WeightPatch({name: Dense(draw(*loaded.model.get_parameter(name).shape))})
    with pytest.raises(MethodError, match=f"changes {name}, {noun}, which no LoRA adapter of PEFT holds: save it --as"):
        write_adapter(loaded.model, patch, base(loaded), tmp_path, rank=2)


def test_a_change_of_full_rank_is_refused_without_a_rank(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    with pytest.raises(
        MethodError, match=r"has rank 32 of 32: an exact adapter .* larger than the weight; .* --rank R"
    ):
        write_adapter(loaded.model, full_rank(loaded.model), base(loaded), tmp_path)
