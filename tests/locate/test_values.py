"""The batched search against a plain one: one edit at a time, whole forward passes, torch's own loss functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from editharness.locate.options import ValueOptions
from editharness.locate.values import Site, Values, optimise_values
from editharness.models.capture import replaced
from editharness.models.modules import module_map
from editharness.models.spans import Prompts, encode_edits, essence_prompts
from editharness.types import Edit

FAMILIES = ("llama", "qwen2", "mistral", "gpt2", "gptj", "gpt_neox")
CONTEXTS = ("{}", "The first of these. {}", "Because. {}")
FEW = ValueOptions(steps=4, lr=0.1, weight_decay=0.5, clamp=0.75)


def searched(
    model: Any,
    tokenizer: Any,
    edits: Sequence[Edit],
    options: ValueOptions,
    site: Site = "block",
    layer: int = 1,
    contexts: Sequence[str] = CONTEXTS,
) -> Values:
    prompts, essence = encode_edits(tokenizer, edits, contexts), essence_prompts(tokenizer, edits)
    return optimise_values(model, module_map(model), layer, prompts, essence, options, site=site)


def plain(
    model: Any,
    tokenizer: Any,
    edit: Edit,
    options: ValueOptions,
    site: Site,
    layer: int = 1,
    contexts: Sequence[str] = CONTEXTS,
) -> Tensor:
    """z of one edit, with a hook on the site and every prompt run alone."""
    modules = module_map(model)
    name = modules.block(layer) if site == "block" else modules.mlp(layer)
    rows = [encode_edits(tokenizer, [edit], [context]) for context in contexts]
    essence = essence_prompts(tokenizer, [edit])
    held: list[Tensor] = []

    def logp(row: Prompts, delta: Tensor) -> Tensor:
        def add(output: Tensor) -> Tensor:
            held.append(output[0, row.subject_last[0]].detach().clone())
            output[0, row.subject_last[0]] = output[0, row.subject_last[0]] + delta
            return output

        with replaced(model, name, add):
            out: Tensor = model(input_ids=row.ids, attention_mask=row.mask, use_cache=False).logits[0]
        return out.log_softmax(dim=-1)

    delta = torch.zeros(modules.hidden_size, requires_grad=True)
    optimiser = torch.optim.Adam([delta], lr=options.lr)
    first: Tensor | None = None
    for step in range(options.steps):
        nll = torch.stack([F.nll_loss(logp(row, delta), row.labels[0], ignore_index=-100) for row in rows]).mean()
        h = held[0]
        now = logp(essence, delta)[essence.subject_last[0]]
        first = now.detach() if first is None else first
        kl = F.kl_div(first, now, log_target=True, reduction="sum")
        loss = nll + options.kl_weight * kl + options.weight_decay * delta.norm() / h.norm() ** 2
        if loss < options.loss_stop or step == options.steps - 1:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            limit = options.clamp * h.norm()
            if delta.norm() > limit:
                delta.mul_(limit / delta.norm())
    return (held[0] + delta).detach()


@pytest.mark.parametrize("site", ["block", "mlp"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_as_a_plain_search(made: Callable[..., Any], edits: list[Edit], family: str, site: Site) -> None:
    model, tokenizer = made(family)
    ours = searched(model, tokenizer, edits, FEW, site)
    for edit, target in zip(edits, ours.target, strict=True):
        torch.testing.assert_close(target, plain(model, tokenizer, edit, FEW, site), rtol=1e-3, atol=2e-4)
    assert ours.steps.tolist() == [FEW.steps - 1] * len(edits)


FRONT = (0, Edit("front", "A is the capital of", (0, 1), "Rome"))
END = (2, Edit("end", "The capital of Italy: A", (22, 23), "Rome"))  # else the last layer cannot reach the target


@pytest.mark.parametrize(("layer", "edit"), [FRONT, END], ids=["front", "end"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_first_and_last_layer_and_token(made: Callable[..., Any], family: str, layer: int, edit: Edit) -> None:
    model, tokenizer = made(family)
    ours = searched(model, tokenizer, [edit], FEW, "block", layer, ("{}",))
    wanted = plain(model, tokenizer, edit, FEW, "block", layer, ("{}",))
    torch.testing.assert_close(ours.target[0], wanted, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_an_edit_alone_is_the_edit_in_any_batch(made: Callable[..., Any], edits: list[Edit], family: str) -> None:
    model, tokenizer = made(family)
    together = searched(model, tokenizer, edits, FEW)
    for tokens in (1, 60):
        chunked = searched(model, tokenizer, edits, ValueOptions(**{**vars(FEW), "row_tokens": tokens}))
        torch.testing.assert_close(chunked.target, together.target, rtol=1e-3, atol=2e-4)
    alone = searched(model, tokenizer, edits[2:3], FEW)
    torch.testing.assert_close(alone.target[0], together.target[2], rtol=1e-3, atol=2e-4)


def test_the_loss_falls_and_the_ball_holds(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    start = searched(model, tokenizer, edits, ValueOptions(steps=1, weight_decay=0.0))
    assert torch.equal(start.target, start.initial)
    end = searched(model, tokenizer, edits, ValueOptions(steps=10, lr=0.05, clamp=0.75, weight_decay=0.0))
    assert bool((end.loss < start.loss).all())
    moved = (end.target - end.initial).norm(dim=1) / end.initial.norm(dim=1)
    assert bool((moved <= 0.75 + 1e-5).all())
    assert end.facts(0)["norm"] == pytest.approx(float(moved[0]))


def test_an_edit_that_is_done_leaves_without_moving_the_others(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    patient = ValueOptions(steps=12, lr=0.5, clamp=4.0, weight_decay=0.0, loss_stop=0.0)
    everyone = searched(model, tokenizer, edits, patient)
    stop = float(everyone.loss.sort().values[1:3].mean())
    hasty = ValueOptions(**{**vars(patient), "loss_stop": stop})
    some = searched(model, tokenizer, edits, hasty)
    assert 0 < int((some.steps < 11).sum()) < len(edits)
    stayed = some.steps == 11
    torch.testing.assert_close(some.target[stayed], everyone.target[stayed], rtol=2e-3, atol=1e-3)


def test_numbers_that_are_none_fail_one_edit_only(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("llama")
    poisoned = tokenizer.encode(" French", add_special_tokens=False)[-1]
    rows = model.get_output_embeddings().weight
    saved = rows[poisoned].clone()
    rows[poisoned] = torch.nan
    try:
        ours = searched(model, tokenizer, edits, FEW)
    finally:
        rows[poisoned] = saved
    assert not bool(ours.target.isfinite().any())  # a broken head breaks every softmax: all are marked, none crashes
    assert bool(searched(model, tokenizer, edits, FEW).target.isfinite().all())


def test_the_model_is_left_alone(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("gpt2")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    searched(model, tokenizer, edits, FEW)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any("forward" in module.__dict__ for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
