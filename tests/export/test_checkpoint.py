"""What is written is what stock transformers then loads: the same weights, configuration, tokens and logits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.export.models import logits, low_rank, opened
from transformers import AutoModelForCausalLM, AutoTokenizer

from editharness.errors import ModelError
from editharness.export.checkpoint import write_checkpoint
from editharness.models.load import load_model, quiet, weights_digest
from editharness.patch import apply
from editharness.testing.tiny import FAMILIES


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_loads_the_edited_model(tmp_path: Path, family: str, dtype: str) -> None:
    loaded = opened(tmp_path / "base", family, dtype)
    before = logits(loaded.model)
    (tmp_path / "out").mkdir()
    with apply(loaded.model, low_rank(loaded.model)):
        wanted, digest = logits(loaded.model), weights_digest(loaded.model)
        write_checkpoint(loaded, tmp_path / "out")
    with quiet():
        back = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert str(back.dtype) == f"torch.{dtype}"
    assert torch.equal(logits(back), wanted)
    assert not torch.equal(wanted, before)
    assert weights_digest(back) == digest
    assert load_model(str(tmp_path / "out"), dtype=dtype, device="cpu").digest == digest


@pytest.mark.parametrize("family", ["llama", "gpt2"], ids=["untied", "tied"])
def test_everything_but_the_weights_is_the_bases(tmp_path: Path, family: str) -> None:
    loaded = opened(tmp_path / "base", family, "bfloat16")
    (tmp_path / "base" / "corpus.txt").write_text("text")
    (tmp_path / "base" / "LICENSE").write_text("licence")
    (tmp_path / "out").mkdir()
    write_checkpoint(loaded, tmp_path / "out")
    names = {path.name for path in (tmp_path / "base").iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names - {"corpus.txt"}
    for name in names - {"corpus.txt", "config.json", "model.safetensors"}:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "base" / name).read_bytes()
    config, base = (json.loads((tmp_path / at / "config.json").read_text()) for at in ("out", "base"))
    assert config == {**base, "dtype": "bfloat16"}
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.get_vocab() == loaded.tokenizer.get_vocab()


def test_an_old_configuration_keeps_its_key_for_the_number_format(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    path = tmp_path / "base" / "config.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({"torch_dtype": raw.pop("dtype"), **raw}))
    (tmp_path / "out").mkdir()
    write_checkpoint(load_model(str(tmp_path / "base"), dtype="float16", device="cpu"), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["torch_dtype"] == "float16"
    assert "dtype" not in config
    with quiet():
        assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.float16
    assert loaded.digest == opened(tmp_path / "base", "llama").digest


@pytest.mark.parametrize("family", ["llama", "gpt2"], ids=["untied", "tied"])
def test_sharded_in_and_sharded_out(tmp_path: Path, family: str) -> None:
    whole = opened(tmp_path / "base", family)
    (tmp_path / "shards").mkdir()
    write_checkpoint(whole, tmp_path / "shards", shard="50KB")
    assert (tmp_path / "shards" / "model.safetensors.index.json").is_file()
    loaded = load_model(str(tmp_path / "shards"), device="cpu")
    assert loaded.digest == whole.digest
    (tmp_path / "out").mkdir()
    with apply(loaded.model, low_rank(loaded.model)):
        wanted = logits(loaded.model)
        write_checkpoint(loaded, tmp_path / "out", shard="50KB")
    assert len(list((tmp_path / "out").glob("model-*-of-*.safetensors"))) > 1
    with quiet():
        assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "out")), wanted)


def test_generation_settings_that_transformers_would_not_save_are_copied(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    text = json.dumps({"do_sample": False, "temperature": 0.6, "top_p": 0.9, "bos_token_id": 1})
    (tmp_path / "base" / "generation_config.json").write_text(text)  # as Llama 2 chat was published
    loaded = opened(tmp_path / "base", "llama")
    with quiet(), pytest.raises(ValueError, match="generation"):
        loaded.model.save_pretrained(tmp_path / "stock")
    (tmp_path / "out").mkdir()
    own = loaded.model.generation_config
    write_checkpoint(loaded, tmp_path / "out")
    assert loaded.model.generation_config is own
    assert (tmp_path / "out" / "generation_config.json").read_text() == text


def test_what_transformers_cannot_save_is_one_line(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    loaded.model.config.bad = object()  # no JSON value
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match="cannot be saved: ") as caught:
        write_checkpoint(loaded, tmp_path / "out")
    assert "\n" not in str(caught.value)
