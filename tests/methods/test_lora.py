"""LoRA: peft's adapters, merged; nothing of them is left in the model."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch

from editharness.host import LocalHost
from editharness.locate.forward import label_losses
from editharness.models.load import load_model, weights_digest
from editharness.patch import LowRank, WeightPatch, apply
from editharness.patch.values import shape
from editharness.testing.tiny import save_tiny
from editharness.types import Edit
from editharness_plugins.methods.lora import Lora, adapted, factors, merged
from editharness_plugins.methods.options.fine_tuning import LoraOptions

EDITS = (
    Edit("0", "The official language of Norway is", (25, 31), "English and Italian"),
    Edit("1", "The capital of Spain is", (15, 20), "Rome"),
)
FAMILIES = ("llama", "gpt2", "gptj", "gpt_neox")
QUICK = LoraOptions(steps=6, lr=0.01, batch_size=2)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalHost]:
    return {
        family: LocalHost(load_model(str(save_tiny(family, tmp_path_factory.mktemp(family))), device="cpu"), seed=0)
        for family in FAMILIES
    }


def losses(host: LocalHost) -> torch.Tensor:
    with torch.no_grad():
        return label_losses(host.model.get_submodule(host.modules.head), host.encode(EDITS), host.model)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("modules", ["query_value", "attention", "mlp"])
def test_the_merged_change_does_what_the_adapters_did(
    hosts: dict[str, LocalHost], family: str, modules: Literal["query_value", "attention", "mlp"]
) -> None:
    host = hosts[family]
    method = Lora(LoraOptions(modules=modules, rank=3, alpha=12.0))
    before = losses(host)
    with adapted(host, method.maps(host), method.options) as adapters:
        torch.testing.assert_close(losses(host), before)
        for adapter in adapters.values():
            factors(adapter)[1].data.normal_(std=0.05, generator=host.rng)
        wanted = losses(host)
        deltas = {f"{name}.weight": merged(adapter) for name, adapter in adapters.items()}
    assert float((wanted - before).abs().max()) > 1e-3
    for name, delta in deltas.items():
        assert isinstance(delta, LowRank)
        assert delta.a.shape[1] == 3
        assert shape(delta) == tuple(host.model.get_parameter(name).shape)
    with apply(host.model, WeightPatch(deltas)):
        torch.testing.assert_close(losses(host), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_of_the_adapters_is_left(hosts: dict[str, LocalHost], family: str) -> None:
    host = hosts[family]
    modules = {name: type(module) for name, module in host.model.named_modules()}
    attributes = set(vars(host.model))
    state = torch.get_rng_state()
    step = Lora(QUICK).edit(host, EDITS, {})
    assert step.patch is not None
    assert {name: type(module) for name, module in host.model.named_modules()} == modules
    assert set(vars(host.model)) == attributes
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(parameter.requires_grad for parameter in host.model.parameters())
    assert not any(module.training for module in host.model.modules())
    assert weights_digest(host.model) == host.loaded.digest


def test_adapters_are_in_eval_mode_without_dropout(hosts: dict[str, LocalHost]) -> None:
    """Peft leaves a fresh adapter in training mode: with dropout its answers would be noise (EasyEdit's are)."""
    host, method = hosts["llama"], Lora(QUICK)
    with adapted(host, method.maps(host), method.options) as adapters:
        for adapter in adapters.values():
            assert not any(part.training for part in adapter.modules())
            assert not any(isinstance(part, torch.nn.Dropout) and part.p > 0 for part in adapter.modules())


def test_queries_and_values_are_found_where_they_are_fused(hosts: dict[str, LocalHost]) -> None:
    counts = {family: len(Lora(LoraOptions(layers=(1,))).maps(host)) for family, host in hosts.items()}
    assert counts == {"llama": 2, "gpt2": 1, "gptj": 2, "gpt_neox": 1}


def test_adapters_of_a_bf16_model_are_trained_in_fp32(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = save_tiny("llama", tmp_path_factory.mktemp("half"))
    host = LocalHost(load_model(str(folder), device="cpu", dtype="bfloat16"), seed=0)
    method = Lora(QUICK)
    with adapted(host, method.maps(host), method.options) as adapters:
        assert {part.dtype for adapter in adapters.values() for part in factors(adapter)} == {torch.float32}
        assert {adapter.get_base_layer().weight.dtype for adapter in adapters.values()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in host.model.parameters()} == {torch.bfloat16}
    assert method.edit(host, EDITS, {}).statuses[0].outcome == "done"


def test_the_loss_falls_and_the_run_may_end_early(hosts: dict[str, LocalHost]) -> None:
    host = hosts["gpt2"]
    goal = 0.8 * float(losses(host).mean())
    options = LoraOptions(modules="mlp", steps=40, lr=0.01, batch_size=2, loss_stop=goal)
    step = Lora(options).edit(host, EDITS, {})
    assert step.statuses[0].facts["steps"] < 40
    with apply(host.model, step.patch):
        assert float(losses(host).mean()) < goal


def test_a_run_that_leaves_the_numbers_gives_no_patch(hosts: dict[str, LocalHost]) -> None:
    step = Lora(LoraOptions(modules="mlp", steps=3, lr=1e30)).edit(hosts["llama"], EDITS, {})
    assert step.patch is None
    assert {status.outcome for status in step.statuses} == {"failed"}


def test_the_same_seed_gives_the_same_adapters(hosts: dict[str, LocalHost]) -> None:
    host: Any = hosts["llama"]
    found = []
    for seed in ("a", "a", "b"):
        host.reseed(seed)
        found.append(Lora(QUICK).edit(host, EDITS, {}).patch.deltas)
    name = next(iter(found[0]))
    assert torch.equal(found[0][name].b, found[1][name].b)
    assert not torch.equal(found[0][name].b, found[2][name].b)
