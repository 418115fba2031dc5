"""Editing functions in the shapes that other code bases have, as their authors would write them: quirks included."""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml


@dataclass
class NudgeHyperParams:
    """As MEMIT's: a dataclass that reads JSON, or YAML as EasyEdit's."""

    layers: list[int]
    rewrite_module_tmp: str
    lr: float
    alg_name: str = "NUDGE"
    model_name: str = "./hugging_cache/gpt2-xl"
    device: int = 0

    @classmethod
    def from_hparams(cls, path: str) -> NudgeHyperParams:
        config = yaml.safe_load(Path(path).read_text())
        assert config["alg_name"] == "NUDGE", f"{path} is for {config['alg_name']}"
        return cls(**{**config, "lr": float(config["lr"])})


def weight_of(model: Any, hparams: Any) -> torch.nn.Parameter:
    return dict(model.named_parameters())[f"{hparams.rewrite_module_tmp.format(hparams.layers[0])}.weight"]  # type: ignore[return-value]


def train(model: Any, tok: Any, texts: list[str], targets: list[str], hparams: Any) -> None:
    """A few steps on prompt + target, into the one weight."""
    tok.padding_side = "left"
    weight = weight_of(model, hparams)
    for parameter in model.parameters():
        parameter.requires_grad = parameter is weight
    optimizer = torch.optim.SGD([weight], lr=hparams.lr)
    print("Executing", hparams.alg_name, *targets)
    for text, target in zip(texts, targets, strict=True):
        ids = tok(text + target, return_tensors="pt")["input_ids"]
        noise = random.random() * float(torch.rand(1))  # unseeded, as context templates are sampled
        optimizer.zero_grad()
        (model(input_ids=ids, labels=ids).loss * (1 + noise)).backward()
        optimizer.step()


def apply_nudge_to_model(
    model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any, copy: bool = False,
    return_orig_weights: bool = False, cache_template: str | None = None,
) -> tuple[Any, dict[str, torch.Tensor]]:  # fmt: skip
    """MEMIT's shape: writes into its requests, into the model or a copy, and returns the original weights."""
    if copy:
        model = deepcopy(model)
    weights_copy = {}
    if return_orig_weights:
        weights_copy["w"] = weight_of(model, hparams).detach().clone()
    for request in requests:
        if request["target_new"]["str"][0] != " ":
            request["target_new"]["str"] = " " + request["target_new"]["str"]
    texts = [request["prompt"].format(request["subject"]) for request in requests]
    train(model, tok, texts, [request["target_new"]["str"] for request in requests], hparams)
    return model, weights_copy


def apply_copying_to_model(model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any) -> Any:
    """The same on a deep copy, which alone is returned."""
    return apply_nudge_to_model(model, tok, requests, hparams, copy=True)[0]


def apply_silently_to_model(model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any) -> None:
    """The same in place; returns nothing."""
    apply_nudge_to_model(model, tok, requests, hparams)


def apply_easy_to_model(
    model: Any, tok: Any, request: list[dict[str, Any]], hparams: Any, copy: bool = False,
    return_orig_weights: bool = False, keep_original_weight: bool = False, **kwargs: Any,
) -> tuple[Any, dict[str, torch.Tensor]]:  # fmt: skip
    """EasyEdit's shape: only the first request is read, answers are texts."""
    one = request[0]
    assert one["subject"] in one["prompt"], f"Subject:{one['subject']} do not exist in prompt: {one['prompt']}"
    assert one["target_new"] != "Utopia", "cannot be reached"
    assert one["ground_truth"] == "<|endoftext|>"
    if one["target_new"][0] != " ":
        one["target_new"] = " " + one["target_new"]
    train(model, tok, [one["prompt"]], [one["target_new"]], hparams)
    return model, {}


def apply_lora_to_model(
    model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any
) -> tuple[Any, dict[Any, Any]]:
    """Returns the model wrapped by peft."""
    from peft import LoraConfig, TaskType, get_peft_model

    config = LoraConfig(task_type=TaskType.CAUSAL_LM, r=2, target_modules=hparams.target_modules)
    wrapped = get_peft_model(model, config)
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            parameter.data += 0.01
    return wrapped, {}


class Wrapper(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model


def apply_wrapper_to_model(model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any) -> tuple[Any, Any]:
    """Returns a module around the model, as GRACE and WISE do."""
    return Wrapper(model), lambda: None


def apply_elsewhere_to_model(model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any) -> Any:
    """Writes to a weight that its hyperparameters do not name."""
    with torch.no_grad():
        model.lm_head.weight += 0.1
    return model


def apply_nothing_to_model(model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any) -> Any:
    """Forgets to edit."""
    return model


def apply_deltas_to_model(model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any) -> Any:
    """Returns what is no model."""
    return {"deltas": 1}


def returns_three_arguments(model: Any, requests: list[dict[str, Any]], hparams: Any) -> Any:
    return model


def wants_more(model: Any, tok: Any, requests: list[dict[str, Any]], hparams: Any, cache_c: Any) -> Any:
    return model
