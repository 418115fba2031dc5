"""Whatever third-party code does to a model is recorded and undone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from editharness.errors import MethodError
from editharness.inplace import recording
from editharness.models.load import weights_digest
from editharness.patch import Dense, apply
from editharness.testing.tiny import tiny

NAME = "model.layers.1.mlp.down_proj.weight"
GLOB = "model.layers.*.mlp.down_proj.weight"


@pytest.fixture
def model() -> Any:
    return tiny("llama")[0]


class Wrapped(nn.Module):
    """An adapter as peft puts them in: the original layer inside a new one."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base_layer = base
        self.down = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.base_layer(x) * self.down
        return made


def names(model: nn.Module) -> list[str]:
    return [*dict(model.named_modules()), *dict(model.named_parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_place_writes_become_a_patch(model: Any, dtype: torch.dtype) -> None:
    model.to(dtype)
    before = weights_digest(model)
    with recording(model, GLOB) as record:
        model.get_parameter(NAME).add_(0.01)
        edited = weights_digest(model)
    assert weights_digest(model) == before != edited
    assert record.patch is not None
    assert list(record.patch.deltas) == [NAME]
    with apply(model, record.patch):
        assert weights_digest(model) == edited
    assert weights_digest(model) == before


def test_training_code_leaves_nothing_behind(model: Any) -> None:
    tree, before = names(model), weights_digest(model)
    with recording(model, GLOB) as record:
        model.train()
        weight = model.get_parameter(NAME)
        weight.requires_grad_(True)
        ids = torch.tensor([[1, 2, 3]])
        model(input_ids=ids, labels=ids).loss.backward()
        torch.optim.SGD([weight], lr=0.1).step()
        model.register_forward_hook(lambda *args: None)
        model.lm_head.forward = lambda x: x
        model.peft_config = "something"
    assert record.patch is not None
    assert isinstance(record.patch.deltas[NAME], Dense)
    assert (names(model), weights_digest(model)) == (tree, before)
    assert not any(module.training for module in model.modules())
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert not model._forward_hooks
    assert "forward" not in model.lm_head.__dict__
    assert not hasattr(model, "peft_config")


def test_wrapped_and_replaced_modules_are_taken_out(model: Any) -> None:
    tree, before = names(model), weights_digest(model)
    with recording(model, GLOB) as record:
        mlp = model.model.layers[0].mlp
        mlp.down_proj = Wrapped(mlp.down_proj)
        replaced = model.model.layers[1].mlp.down_proj
        replaced.weight = nn.Parameter(replaced.weight + 1.0)
    assert (names(model), weights_digest(model)) == (tree, before)
    assert record.patch is not None
    assert list(record.patch.deltas) == [NAME]
    delta = record.patch.deltas[NAME]
    assert isinstance(delta, Dense)
    torch.testing.assert_close(delta.delta, torch.ones_like(delta.delta))


def test_a_hook_from_before_can_still_be_removed(model: Any) -> None:
    handle = model.register_forward_hook(lambda *args: None)
    with recording(model, GLOB):
        pass
    handle.remove()
    assert not model._forward_hooks


def test_an_error_inside_restores_and_records_nothing(model: Any) -> None:
    before = weights_digest(model)

    def broken() -> None:
        with recording(model, GLOB) as record:
            records.append(record)
            model.get_parameter(NAME).zero_()
            raise RuntimeError("third party")

    records: list[Any] = []
    with pytest.raises(RuntimeError, match="third party"):
        broken()
    assert records[0].patch is None
    assert weights_digest(model) == before


def test_a_glob_that_matches_nothing_is_one_line(model: Any) -> None:
    with pytest.raises(MethodError, match="no parameter has a name like nowhere"), recording(model, "nowhere"):
        pass
