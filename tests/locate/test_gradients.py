"""Keys and output gradients by token: their outer products are the gradients of the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from editharness.errors import ModelError
from editharness.locate.forward import label_losses
from editharness.locate.gradients import Factors, token_gradients
from editharness.models.modules import module_map, to_stored
from editharness.models.spans import encode_edits
from editharness.types import Edit

FAMILIES = ("llama", "gpt2", "gptj", "gpt_neox")
Made = Callable[[str], tuple[Any, Any]]


def names(model: Any) -> list[str]:
    modules = module_map(model)
    return [modules.projection(layer, role) for layer in (0, 2) for role in ("up", "down")]


def assert_close(ours: Factors, theirs: Factors) -> None:
    torch.testing.assert_close(ours.keys, theirs.keys, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.gradients, theirs.gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_factors_over_all_tokens_give_the_gradients_of_the_weights(made: Made, edits: list[Edit], family: str) -> None:
    model, tokenizer = made(family)
    prompts, modules = encode_edits(tokenizer, edits), module_map(model)
    found = token_gradients(model, modules.head, names(model), prompts, prompts.mask)
    weights = {f"{name}.weight": model.get_parameter(f"{name}.weight") for name in found.factors}
    for weight in weights.values():
        weight.requires_grad_(True)
    try:
        losses = label_losses(model.get_submodule(modules.head), prompts, model)
        wanted = dict(zip(weights, torch.autograd.grad(losses.sum(), list(weights.values())), strict=True))
    finally:
        for weight in weights.values():
            weight.requires_grad_(False)
    torch.testing.assert_close(found.losses, losses.detach())
    for name, factors in found.factors.items():
        written = to_stored(factors.gradients.mT @ factors.keys, modules.transposed(0))
        torch.testing.assert_close(written, wanted[f"{name}.weight"], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_rows_factors_do_not_depend_on_the_rows_beside_it(made: Made, edits: list[Edit], family: str) -> None:
    model, tokenizer = made(family)
    modules, wanted = module_map(model), names(model)
    together = token_gradients(model, modules.head, wanted, encode_edits(tokenizer, edits))
    chunked = token_gradients(model, modules.head, wanted, encode_edits(tokenizer, edits), budget=1)
    for row, edit in enumerate(edits):
        alone = token_gradients(model, modules.head, wanted, encode_edits(tokenizer, [edit]))
        torch.testing.assert_close(together.losses[row], alone.losses[0])
        for name in wanted:
            assert_close(together.factors[name].of_row(row), alone.factors[name])
            assert_close(chunked.factors[name].of_row(row), alone.factors[name])


def test_answer_positions_run_from_the_last_prompt_token(made: Made, edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    modules, prompts = module_map(model), encode_edits(tokenizer, edits)
    name = modules.projection(1, "down")
    factors = token_gradients(model, modules.head, [name], prompts).factors[name]
    assert torch.bincount(factors.row).tolist() == (prompts.labels != -100).sum(dim=1).tolist()
    every = token_gradients(model, modules.head, [name], prompts, prompts.mask).factors[name].of_row(1)
    first = int(prompts.lengths[1]) - 1
    torch.testing.assert_close(factors.of_row(1).keys, every.keys[first:], rtol=1e-5, atol=1e-6)


def test_the_model_is_left_as_found(made: Made, edits: list[Edit]) -> None:
    model, tokenizer = made("gpt2")
    modules = module_map(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    token_gradients(model, modules.head, [modules.projection(1, "up")], encode_edits(tokenizer, edits))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_bf16_models_give_fp32_factors(edits: list[Edit]) -> None:
    from editharness.testing.tiny import tiny

    model, tokenizer = tiny("llama")
    modules = module_map(model.bfloat16())
    name = modules.projection(0, "gate")
    factors = token_gradients(model, modules.head, [name], encode_edits(tokenizer, edits)).factors[name]
    assert factors.keys.dtype == factors.gradients.dtype == torch.float32


def test_a_module_that_is_not_there(made: Made, edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    with pytest.raises(ModelError, match="no module"):
        token_gradients(model, "lm_head", ["model.layers.7.mlp.up_proj"], encode_edits(tokenizer, edits))
