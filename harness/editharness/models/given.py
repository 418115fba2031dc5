"""A model that the caller has loaded: lent to the harness, and given back as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from editharness.errors import ModelError
from editharness.models.load import LoadedModel, prepare_model, refuse_quantised, weights_digest
from editharness.models.placing import check_placed


@contextmanager
def lent(model: Any, tokenizer: Any) -> Iterator[LoadedModel]:
    """The model as the harness wants it: eval mode, no gradients, a tokenizer with padding (a copy of the caller's).

    Afterwards training and gradient flags are as before. Raises ModelError for what is no causal language model of
    transformers with a fast tokenizer.
    """
    _check(model, tokenizer)
    name = str(getattr(model, "name_or_path", "") or type(model).__name__)
    training = {module: module.training for module in model.modules()}
    gradients = {parameter: parameter.requires_grad for parameter in model.parameters()}
    own = copy.deepcopy(tokenizer)
    padding = getattr(getattr(model, "generation_config", None), "pad_token_id", None)
    prepare_model(model, own)
    check_placed(model, name)
    folder = Path(name).expanduser()
    try:
        yield LoadedModel(
            model=model,
            tokenizer=own,
            name=folder.name if folder.is_dir() else name,
            revision=getattr(model.config, "_commit_hash", None),
            source="folder" if folder.is_dir() else "memory",
            digest=weights_digest(model),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            architecture=type(model).__name__,
            folder=folder,
        )
    finally:
        for module, flag in training.items():
            module.training = flag
        for parameter, flag in gradients.items():
            parameter.requires_grad_(flag)
        if getattr(model, "generation_config", None) is not None:
            model.generation_config.pad_token_id = padding


def _check(model: Any, tokenizer: Any) -> None:
    if not isinstance(model, nn.Module) or not hasattr(model, "config"):
        raise ModelError(f"model is a {type(model).__name__}: give a name, or a model that transformers has loaded")
    if getattr(model.config, "is_encoder_decoder", False):
        raise ModelError(f"{type(model).__name__} is an encoder-decoder: use a causal language model")
    refuse_quantised(model.config, type(model).__name__)
    if getattr(model, "get_output_embeddings", lambda: None)() is None:
        raise ModelError(f"{type(model).__name__} has no language-model head: load it with AutoModelForCausalLM")
    if tokenizer is None:
        raise ModelError("a loaded model needs its tokenizer beside it: tokenizer=AutoTokenizer.from_pretrained(...)")
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError("the tokenizer gives no character offsets: load it with AutoTokenizer (a tokenizer.json)")
