from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from editharness.errors import MethodError, ModelError
from editharness.models.load import weights_digest
from editharness.models.modules import module_map
from editharness.patch import Dense, LowRank, Masters, ModulePatch, RouterPatch, WeightPatch, apply, join
from editharness.patch.writing import fingerprint
from editharness.testing.tiny import FAMILIES, tiny

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)


@dataclass(frozen=True)
class Shifted:
    """A recipe that wraps a module and adds a vector to its output."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "shifted"

    def build(self, original: nn.Module) -> nn.Module:
        return _Shift(original, self.tensors["by"])


class _Shift(nn.Module):
    def __init__(self, inner: nn.Module, by: Tensor) -> None:
        super().__init__()
        self.inner, self.by = inner, nn.Parameter(by, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.inner(x) + self.by
        return result


@dataclass(frozen=True)
class Silent:
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "silent"

    def route(self, context: str) -> tuple[str, str]:
        return "", "base"


def low_rank(model: nn.Module, layer: int, rank: int = 1, seed: int = 0, scale: float = 1.0) -> WeightPatch:
    name = module_map(model).down_weight(layer)
    rows, columns = model.get_parameter(name).shape
    draw = torch.Generator().manual_seed(seed)
    a, b = torch.randn(rows, rank, generator=draw), torch.randn(rank, columns, generator=draw)
    return WeightPatch({name: LowRank(scale * a, b)})


def structure(model: nn.Module) -> list[Any]:
    """All that an undo must leave as found, beside the weights' bits."""
    tree: list[Any] = [(name, id(m), m.training, list(m._forward_hooks)) for name, m in model.named_modules()]
    return [*tree, *((name, id(p), p.requires_grad, p.dtype) for name, p in model.named_parameters())]


def answers(model: Any) -> Tensor:
    logits: Tensor = model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits
    return logits


@dtypes
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_undo_brings_every_bit_back(family: str, dtype: torch.dtype) -> None:
    model = tiny(family)[0].to(dtype)
    model.transformer.h[0].requires_grad_(True) if family == "gpt2" else model.model.layers[0].train()
    model.get_submodule(module_map(model).blocks[1]).register_forward_hook(lambda *_: None)
    before, found, digest = answers(model), structure(model), weights_digest(model)
    first = apply(model, low_rank(model, 1, rank=3))
    second = apply(model, low_rank(model, 2, seed=1, scale=1e-3))
    assert not torch.equal(answers(model), before)
    second.undo()
    first.undo()
    assert weights_digest(model) == digest
    assert structure(model) == found
    assert torch.equal(answers(model), before)


def test_subtracting_would_not_have_been_exact() -> None:
    """Why undo copies: in bf16, adding a delta and subtracting it again changes weights."""
    model = tiny("llama")[0].to(torch.bfloat16)
    patch, digest = low_rank(model, 1), weights_digest(model)
    ((name, delta),) = patch.deltas.items()
    assert isinstance(delta, LowRank)
    with apply(model, patch):
        pass
    assert weights_digest(model) == digest
    change = (delta.a @ delta.b).bfloat16()
    model.get_parameter(name).add_(change).sub_(change)
    assert weights_digest(model) != digest


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_delta_is_added_in_the_stored_orientation(family: str) -> None:
    model, _ = tiny(family)
    found = module_map(model)
    name = found.down_weight(1)
    key, value = torch.randn(found.key_size(1)), torch.randn(found.hidden_size)
    a, b = (key[:, None], value[None]) if found.transposed(1) else (value[:, None], key[None])
    down = model.get_submodule(found.down_projection(1))
    before = down(key)
    with apply(model, WeightPatch({name: LowRank(a, b)})):
        torch.testing.assert_close(down(key), before + value * key.dot(key), rtol=1e-4, atol=1e-4)
    with apply(model, WeightPatch({name: Dense(a @ b)})):
        torch.testing.assert_close(down(key), before + value * key.dot(key), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_masters_keep_what_rounding_would_lose(dtype: torch.dtype) -> None:
    model = tiny("llama")[0].to(dtype)
    name = module_map(model).down_weight(1)
    start = model.get_parameter(name).float()
    step = WeightPatch({name: Dense(start * 2e-4)})  # far below the dtype's resolution
    masters = Masters(model)
    undos = [apply(model, step, masters) for _ in range(40)]
    wanted = start.clone()
    for _ in range(40):
        wanted += start * 2e-4
    assert torch.equal(model.get_parameter(name), wanted.to(dtype))
    assert not torch.equal(model.get_parameter(name), start.to(dtype))
    assert torch.equal(masters.original(name), start)
    for undo in reversed(undos):
        undo.undo()
    assert torch.equal(model.get_parameter(name).float(), start)
    with apply(model, step, masters):
        assert torch.equal(model.get_parameter(name), (start + start * 2e-4).to(dtype))


def test_an_original_is_known_before_and_after_it_was_edited() -> None:
    model, _ = tiny("gpt2")
    name = module_map(model).down_weight(0)
    masters, start = Masters(model), model.get_parameter(name).clone()
    assert torch.equal(masters.original(name), start)
    assert masters.touched == ()
    apply(model, low_rank(model, 0), masters)
    assert torch.equal(masters.original(name), start)
    assert masters.touched == (name,)


def test_joined_weights_do_what_both_do() -> None:
    model, _ = tiny("gptj")
    first, second = low_rank(model, 1, rank=2), join(low_rank(model, 1, seed=1), low_rank(model, 2))
    with apply(model, first), apply(model, second):
        apart = answers(model)
    with apply(model, join(first, second)):
        torch.testing.assert_close(answers(model), apart, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_modules_are_replaced_and_put_back(family: str) -> None:
    model, _ = tiny(family)
    found = module_map(model)
    by = torch.linspace(-1, 1, 32)
    patch = ModulePatch({found.mlp(1): Shifted({"by": by}), found.mlp(2): Shifted({"by": by})})
    before, tree = answers(model), structure(model)
    with apply(model, patch):
        assert isinstance(model.get_submodule(found.mlp(1)), _Shift)
        assert not torch.equal(answers(model), before)
    assert structure(model) == tree
    assert torch.equal(answers(model), before)


def test_nested_modules_are_put_back_in_reverse() -> None:
    model, _ = tiny("llama")
    found, tree = module_map(model), structure(model)
    inner = found.mlp(1) + ".inner.down_proj"  # exists only inside the replacement of the MLP
    by = torch.ones(32)
    with apply(model, ModulePatch({found.mlp(1): Shifted({"by": by}), inner: Shifted({"by": by})})):
        assert isinstance(model.get_submodule(inner), _Shift)
    assert structure(model) == tree


def test_a_router_changes_nothing() -> None:
    model, _ = tiny("llama")
    digest = weights_digest(model)
    with apply(model, RouterPatch(Silent())):
        assert weights_digest(model) == digest


def test_what_cannot_be_applied_leaves_the_model_alone() -> None:
    model, _ = tiny("gpt2")
    found = module_map(model)
    digest, tree = weights_digest(model), structure(model)
    good = low_rank(model, 0).deltas
    tied = WeightPatch({**good, "transformer.wte.weight": Dense(torch.zeros(400, 32))})
    with pytest.raises(MethodError, match=r"transformer\.wte\.weight is tied to another weight"):
        apply(model, tied)
    with pytest.raises(MethodError, match=r"delta for .* has shape \(32, 128\), the weight \(128, 32\)"):
        apply(model, WeightPatch({**good, found.down_weight(1): Dense(torch.zeros(32, 128))}))
    with pytest.raises(MethodError, match=r"no parameter 'transformer\.h\.7"):
        apply(model, WeightPatch({**good, "transformer.h.7.mlp.c_proj.weight": Dense(torch.zeros(1))}))
    shift = Shifted({"by": torch.zeros(32)})
    with pytest.raises(ModelError, match=r"no module 'transformer\.h\.7"):
        apply(model, ModulePatch({found.mlp(0): shift, "transformer.h.7.mlp": shift}))
    with pytest.raises(MethodError, match="cannot replace the whole model"):
        apply(model, ModulePatch({"": shift}))
    assert weights_digest(model) == digest
    assert structure(model) == tree


def fails_after_writing(weight: Tensor) -> None:
    weight[0, 0] += 1
    raise ValueError("the first error")


def test_a_change_by_somebody_else_is_undone_and_told() -> None:
    model, _ = tiny("llama")
    name, digest = module_map(model).down_weight(1), weights_digest(model)
    undo = apply(model, low_rank(model, 1))
    model.get_parameter(name)[0, 0] += 1
    with pytest.raises(MethodError, match=rf"{name} changed while a patch was applied"):
        undo.undo()
    assert weights_digest(model) == digest
    undo.undo()  # done already
    with pytest.raises(ValueError, match="the first error"), apply(model, low_rank(model, 1)):
        fails_after_writing(model.get_parameter(name))
    assert weights_digest(model) == digest


@dtypes
def test_fingerprints_tell_small_changes(dtype: torch.dtype) -> None:
    weight = torch.randn(7, 5).to(dtype)
    mark = fingerprint(weight)
    assert fingerprint(weight.clone()) == mark
    assert fingerprint(weight.T.contiguous().T) == mark
    for changed in (weight[[1, 0, 2, 3, 4, 5, 6]], weight[:, [0, 1, 2, 4, 3]], -weight, weight.roll(1)):
        assert fingerprint(changed) != mark
    one = weight.clone()
    one.view({2: torch.int16, 4: torch.int32}[weight.element_size()])[3, 2] ^= 1
    assert fingerprint(one) != mark
    assert fingerprint(torch.tensor(1.0)) != fingerprint(torch.tensor(2.0))
