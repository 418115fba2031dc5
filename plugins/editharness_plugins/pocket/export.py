"""Writes the trained model the way it ships: half-precision weights, tokenizer, and what the training cost."""

from __future__ import annotations

import copy
import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from editharness_plugins.pocket.corpus import read_cases
from editharness_plugins.pocket.relations import HERE

STREAM_NORM, DEPTH = 16.0, 3


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cost(seed: int, steps: int, tokens: int, seconds: float, read: list[Path]) -> dict[str, Any]:
    """What the training took, and on which data: pocket's, and the other files that were read, model weights too."""
    files = [HERE / "pocket.jsonl", HERE / "relations.yaml", *read]
    data = {path.name: digest(path) for path in files}
    return {
        "seed": seed,
        "steps": steps,
        "tokens": tokens,
        "seconds": round(seconds),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "data": data,
    }


def stream_norm(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, prompts: list[str], depth: int) -> float:
    """The mean length of the hidden states after `depth` layers on some prompts, the first token left out."""
    batch = tokenizer(prompts, padding=True, padding_side="right", return_tensors="pt").to(model.device)
    with torch.no_grad():
        states = model(**batch, output_hidden_states=True).hidden_states[depth]
    return float(states[:, 1:][batch["attention_mask"][:, 1:].bool()].norm(dim=-1).mean())


def rescale(model: LlamaForCausalLM, factor: float) -> LlamaForCausalLM:
    """The same function with hidden states `factor` times as long.

    The layers normalise what they read, so the length of the hidden states is free. Editing methods step through them
    with a fixed learning rate, so it is given the size it has in large models.
    """
    config = copy.deepcopy(model.config)
    config.rms_norm_eps *= factor**2
    scaled = LlamaForCausalLM(config)
    scaled.load_state_dict(model.state_dict())
    with torch.no_grad():
        scaled.model.embed_tokens.weight *= factor
        for layer in scaled.model.layers:
            layer.self_attn.o_proj.weight *= factor
            layer.mlp.down_proj.weight *= factor
        scaled.model.norm.weight /= factor
    return scaled.eval()


def save_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save the tokenizer, compactly, under the class name that every version of transformers knows."""
    tokenizer.save_pretrained(folder)
    merges = folder / "tokenizer.json"
    compact = json.dumps(json.loads(merges.read_text(encoding="utf-8")), ensure_ascii=False, separators=(",", ":"))
    merges.write_text(compact + "\n", encoding="utf-8")
    path = folder / "tokenizer_config.json"
    content = {**json.loads(path.read_text(encoding="utf-8")), "tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path, spent: dict[str, Any]) -> None:
    """Save a copy of the model in half precision with hidden states of length 16, and everything that loads it."""
    prompts = [case["prompt"] for case in read_cases()[::10]]
    plain = rescale(model.cpu(), 1.0)
    scaled = rescale(plain, STREAM_NORM / stream_norm(plain, tokenizer, prompts, DEPTH))
    scaled.half().save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    save_tokenizer(tokenizer, folder)
    (folder / "training.json").write_text(json.dumps(spent, indent=1) + "\n", encoding="utf-8")
