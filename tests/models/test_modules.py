from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from editharness.errors import ModelError
from editharness.locate.forward import through_lens
from editharness.models.capture import capture, replaced
from editharness.models.modules import module_map, tied_parameters, to_math, to_stored
from editharness.testing.tiny import FAMILIES, tiny

families = pytest.mark.parametrize("family", sorted(FAMILIES))


@families
def test_every_family_has_its_parts(family: str) -> None:
    model, tokenizer = tiny(family)
    found = module_map(model)
    assert found.layers == 3
    assert found.hidden_size == 32
    for layer in range(found.layers):
        down = model.get_submodule(found.down_projection(layer))
        weight = model.get_parameter(found.down_weight(layer))
        assert to_math(weight, found.transposed(layer)).shape == (32, found.key_size(layer))
        assert found.transposed(layer) == isinstance(down, Conv1D)
        keys = torch.randn(5, found.key_size(layer))
        bias = down.bias if getattr(down, "bias", None) is not None else 0
        torch.testing.assert_close(down(keys), keys @ to_math(weight, found.transposed(layer)).mT + bias)
        assert isinstance(model.get_submodule(found.attention(layer)), nn.Module)
    assert model.get_submodule(found.head) is model.get_output_embeddings()
    assert model.get_submodule(found.embedding) is model.get_input_embeddings()
    ids = torch.tensor([tokenizer.encode("Paris is")])
    assert model.get_submodule(found.mlp(0))(model.get_submodule(found.embedding)(ids)).shape == (*ids.shape, 32)


@families
def test_norm_and_head_make_the_logits(family: str) -> None:
    model, tokenizer = tiny(family)
    found = module_map(model)
    ids = torch.tensor([tokenizer.encode("The capital of France is")])
    seen: list[torch.Tensor] = []
    hook = model.get_submodule(found.blocks[-1]).register_forward_hook(
        lambda module, args, output: seen.append(output if isinstance(output, torch.Tensor) else output[0])
    )
    logits = model(ids).logits
    hook.remove()
    torch.testing.assert_close(through_lens(model, found, seen[0]), logits)


def test_tied_weights_are_named() -> None:
    tied = module_map(tiny("gpt2")[0]).tied
    assert tied == {"lm_head.weight", "transformer.wte.weight"}
    assert not tied_parameters(tiny("llama")[0])


def test_an_unknown_family_is_accepted_by_structure() -> None:
    model, _ = tiny("llama")
    model.config.model_type = "never_heard_of"
    assert module_map(model).down_weight(1) == "model.layers.1.mlp.down_proj.weight"


def test_other_models_are_refused_by_name() -> None:
    from transformers import AutoModelForCausalLM, OPTConfig, T5Config, T5ForConditionalGeneration

    opt = AutoModelForCausalLM.from_config(
        OPTConfig(
            vocab_size=20,
            hidden_size=16,
            ffn_dim=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            word_embed_proj_dim=16,
        )
    )
    with pytest.raises(ModelError, match=r"model type 'opt' is not supported: use Llama, Qwen2"):
        module_map(opt)
    t5 = T5ForConditionalGeneration(T5Config(vocab_size=20, d_model=16, d_ff=32, num_layers=1, num_heads=2, d_kv=8))
    with pytest.raises(ModelError, match="'t5' is not supported"):
        module_map(t5)
    with pytest.raises(ModelError, match="'Linear' is not supported"):
        module_map(nn.Linear(2, 2))


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
def test_experts_are_refused(kind: str) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(
        kind, vocab_size=20, hidden_size=16, intermediate_size=16, moe_intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=2, num_experts=2, num_experts_per_tok=1,
    )  # fmt: skip
    with pytest.raises(ModelError, match=f"'{kind}' is a mixture of experts, .* use a dense model"):
        module_map(AutoModelForCausalLM.from_config(config))


def test_what_a_block_adds_is_behind_its_post_norm() -> None:
    plain, normed = module_map(tiny("llama")[0]), module_map(tiny("gemma2")[0])
    assert plain.mlp_added(1) == "model.layers.1.mlp"
    assert normed.mlp_added(1) == "model.layers.1.post_feedforward_layernorm"
    assert (plain.logit_cap, normed.logit_cap) == (None, 2.0)


def test_fused_input_maps_are_named_as_they_are() -> None:
    model, _ = tiny("phi3")
    found = module_map(model)
    assert found.projection(1, "gate") == found.projection(1, "up") == "model.layers.1.mlp.gate_up_proj"
    assert [model.get_submodule(name).out_features for name in found.query_value(0)] == [64]


@families
def test_without_what_it_adds_an_mlp_is_gone_from_the_stream(family: str) -> None:
    model, tokenizer = tiny(family)
    found = module_map(model)
    ids = torch.tensor([tokenizer.encode("The capital of France is")])
    block, added = found.block(2), found.mlp_added(2)
    with capture(model, {block: "output", added: "output"}) as seen:
        model(ids)
    with replaced(model, added, torch.zeros_like), capture(model, {block: "output"}) as without:
        model(ids)
    torch.testing.assert_close(seen[block] - without[block], seen[added])


@pytest.mark.parametrize("layer", [-1, 3])
def test_a_layer_outside_the_model(layer: int) -> None:
    found = module_map(tiny("llama")[0])
    for part in (found.attention, found.mlp, found.down_weight, found.key_size, found.transposed):
        with pytest.raises(ModelError, match="the model has layers 0 to 2"):
            part(layer)


def test_square_weights_go_by_module_type() -> None:
    weight = torch.arange(4.0).reshape(2, 2)
    assert torch.equal(to_math(weight, True), weight.T)
    assert torch.equal(to_math(weight, False), weight)
    assert torch.equal(to_stored(to_math(weight, True), True), weight)
