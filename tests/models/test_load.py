from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers.utils import logging

from editharness.errors import ModelError
from editharness.models.load import load_model, weights_digest
from editharness.testing.tiny import FAMILIES, save_tiny, tiny


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "copy"))


def change(folder: Path, name: str, **values: object) -> None:
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    (folder / name).write_text(json.dumps(content | values), encoding="utf-8")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_folder_comes_back_as_saved(family: str, tmp_path: Path) -> None:
    model, tokenizer = tiny(family)
    loaded = load_model(str(save_tiny(family, tmp_path / family)), device="cpu")
    assert loaded.digest == weights_digest(model) == weights_digest(loaded.model)
    assert loaded.tokenizer("Zürich is in")["input_ids"] == tokenizer("Zürich is in")["input_ids"]
    assert (loaded.source, loaded.revision, loaded.folder) == ("folder", None, tmp_path / family)
    assert loaded.parameters == sum(p.numel() for p in model.parameters())
    assert loaded.architecture == type(model).__name__
    assert not any(module.training for module in loaded.model.modules())
    assert not any(p.requires_grad for p in loaded.model.parameters())


def test_a_packaged_name_wins_over_a_folder(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pocket").mkdir()
    loaded = load_model("pocket", packaged={"pocket": llama}, device="cpu")
    assert (loaded.name, loaded.source, loaded.folder) == ("pocket", "package", llama)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_are_cast_on_loading(llama: Path, dtype: str) -> None:
    loaded = load_model(str(llama), dtype=dtype, device="cpu")
    assert {p.dtype for p in loaded.model.parameters()} == {getattr(torch, dtype)}
    assert loaded.digest == load_model(str(llama), dtype=dtype, device="cpu").digest
    assert loaded.digest != load_model(str(llama), device="cpu").digest


def test_loading_prints_nothing_and_leaves_settings(llama: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    load_model(str(llama), device="cpu")
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_pad_token_is_set_without_changing_the_vocabulary(copy: Path) -> None:
    content = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    del content["pad_token"]
    (copy / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    (copy / "special_tokens_map.json").unlink(missing_ok=True)
    loaded = load_model(str(copy), device="cpu")
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id
    assert len(loaded.tokenizer) == loaded.model.config.vocab_size


def test_the_digest_sees_one_bit_and_the_dtype() -> None:
    model, _ = tiny("gpt2")
    before = weights_digest(model)
    weight = model.transformer.h[1].mlp.c_proj.weight
    kept = weight.clone()
    bits = weight.view(torch.int32)
    bits[0, 0] ^= 1
    assert weights_digest(model) != before
    weight.copy_(kept)
    assert weights_digest(model) == before
    assert weights_digest(model.half()) != before


def test_a_folder_without_weights_tokenizer_or_config(copy: Path) -> None:
    weights = copy / "model.safetensors"
    saved = weights.read_bytes()
    weights.rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="only pickled weights, which are not read"):
        load_model(str(copy))
    (copy / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="holds no weights; save it as"):
        load_model(str(copy))
    weights.write_bytes(saved[:5000])
    with pytest.raises(ModelError, match="cannot be loaded: "):
        load_model(str(copy))
    weights.write_bytes(saved)
    for file in copy.glob("*token*"):
        file.unlink()
    with pytest.raises(ModelError, match=r"no tokenizer in .* can be read"):
        load_model(str(copy))
    (copy / "config.json").unlink()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load_model(str(copy))


def test_missing_weights_are_never_made_up(copy: Path) -> None:
    change(copy, "config.json", num_hidden_layers=4)
    with pytest.raises(ModelError, match=r"its files lack \d+ weights of a language model, first 'model\.layers\.3"):
        load_model(str(copy))


def test_an_encoder_decoder_is_refused(copy: Path) -> None:
    from transformers import T5Config

    T5Config(vocab_size=400, d_model=16, num_layers=1).save_pretrained(copy)
    with pytest.raises(ModelError, match=r"is an encoder-decoder \(t5\): use a causal language model"):
        load_model(str(copy))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes"),
        ({"bits": 8}, "an unnamed method"),
    ],
)
def test_a_quantised_checkpoint_is_refused(copy: Path, given: dict[str, object], kind: str) -> None:
    change(copy, "config.json", quantization_config=given)
    with pytest.raises(ModelError, match=rf"is quantised \({kind}\): its weights cannot be edited; use the") as refused:
        load_model(str(copy))
    assert "\n" not in str(refused.value)


def test_a_model_that_is_no_language_model(copy: Path) -> None:
    change(copy, "config.json", model_type="vit")
    with pytest.raises(ModelError) as refused:
        load_model(str(copy))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"dtype": "bf16"}, "dtype 'bf16': use float32, bfloat16 or float16"),
        ({"device": "gpu"}, "device 'gpu': use cpu, cuda, cuda:N or mps"),
        ({"device": "meta"}, "device 'meta': use cpu, cuda, cuda:N or mps"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not there: torch sees"),
    ],
)
def test_bad_dtypes_and_devices(arguments: dict[str, str], text: str, llama: Path) -> None:
    with pytest.raises(ModelError, match=text):
        load_model(str(llama), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("./nowhere", r"model folder '\./nowhere' does not exist"),
        ("a/b/c", "model folder 'a/b/c' does not exist"),
        ("two words", "neither a folder here nor a hub id"),
        ("", "no model named"),
        (
            "nobody/nothing",
            r"is not on this machine and the hub may not be asked .*`hf download nobody/nothing` .*--model FOLDER",
        ),
    ],
)
def test_names_that_lead_nowhere(name: str, text: str) -> None:
    with pytest.raises(ModelError, match=text):
        load_model(name, offline=True)


def test_a_revision_is_named_in_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="`hf download nobody/nothing --revision v2`"):
        load_model("nobody/nothing", revision="v2")


def test_a_file_is_not_a_folder(llama: Path) -> None:
    with pytest.raises(ModelError, match="is a file: give the folder"):
        load_model(str(llama / "config.json"))


def test_the_hub_cache_is_read_without_a_network(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "models--someone--little"
    shutil.copytree(llama, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    loaded = load_model("someone/little", offline=True, device="cpu")
    assert (loaded.source, loaded.revision, loaded.name) == ("hub", commit, "someone/little")
