from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editharness.locate.forward import WORTH_A_PASS, by_width, chunks, label_losses, only_there, read
from editharness.locate.keys import block_outputs, keys, mean_of_contexts
from editharness.models.capture import at, capture
from editharness.models.modules import module_map
from editharness.models.spans import encode_edits
from editharness.types import Edit

CONTEXTS = ("{}", "The first of these. {}", "Because. {}")


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_chunks_hold_every_index_once_within_the_budget(lengths: list[int], budget: int) -> None:
    made = list(chunks(lengths, budget))
    assert sorted(i for chunk in made for i in chunk) == list(range(len(lengths)))
    for chunk in made:
        assert len(chunk) == 1 or len(chunk) * max(lengths[i] for i in chunk) <= budget


@pytest.mark.parametrize("family", ["llama", "gpt2", "gptj", "gpt_neox"])
def test_read_gives_rows_in_order_whatever_the_chunks(made: Callable[..., Any], edits: list[Edit], family: str) -> None:
    model, tokenizer = made(family)
    modules, prompts = module_map(model), encode_edits(tokenizer, edits, CONTEXTS, targets=False)
    wanted = {modules.down_projection(0): "input", modules.block(1): "output"}
    with torch.no_grad(), capture(model, wanted) as seen:
        model(input_ids=prompts.ids, attention_mask=prompts.mask)
    for budget in (1, 50, 4096):
        ours = read(model, prompts, wanted, budget=budget)
        for name in wanted:
            torch.testing.assert_close(ours[name], at(seen[name], prompts.subject_last), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        block_outputs(model, modules, 1, prompts), at(seen[modules.block(1)], prompts.subject_last)
    )
    found = keys(model, modules, 0, prompts)
    rows = at(seen[modules.down_projection(0)], prompts.subject_last)
    torch.testing.assert_close(found[1], rows[3] / 2 + rows[4:6].mean(dim=0) / 2, rtol=1e-4, atol=1e-5)


def test_averages() -> None:
    rows = torch.tensor([[1.0], [2.0], [4.0], [10.0], [20.0], [40.0]])
    assert mean_of_contexts(rows, 2, "groups").tolist() == [[2.0], [20.0]]
    assert mean_of_contexts(rows, 2, "flat").flatten().tolist() == pytest.approx([7 / 3, 70 / 3])
    assert torch.equal(mean_of_contexts(rows, 6, "groups"), rows)


def test_label_losses_are_the_models_own(made: Callable[..., Any], edits: list[Edit]) -> None:
    model, tokenizer = made("gpt2")
    prompts = encode_edits(tokenizer, edits)
    ours = label_losses(model.get_output_embeddings(), prompts, model)
    logits = model(input_ids=prompts.ids, attention_mask=prompts.mask).logits
    for row, loss in enumerate(ours):
        wanted = torch.nn.functional.cross_entropy(logits[row], prompts.labels[row], ignore_index=-100)
        torch.testing.assert_close(loss, wanted, rtol=1e-4, atol=1e-5)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80))
def test_groups_by_width_hold_every_row_once_and_waste_less(widths: list[int]) -> None:
    groups = by_width(widths)
    assert sorted(row for group in groups for row in group) == list(range(len(widths)))
    padded = sum(len(group) * max(widths[row] for row in group) for group in groups)
    assert padded <= len(widths) * max(widths) - WORTH_A_PASS * (len(groups) - 1)


def test_rows_of_one_width_stay_together() -> None:
    assert by_width([7] * 50) == [list(range(50))]
    assert sorted(map(len, by_width([1] * 40 + [9] * 60))) == [40, 60]


def test_a_module_at_some_positions_has_their_values_and_gradients() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.SiLU(), torch.nn.Linear(8, 4))
    hidden = torch.randn(3, 5, 4, requires_grad=True)
    row, column = torch.tensor([0, 2, 2, 0]), torch.tensor([1, 4, 4, 0])  # one of them twice
    whole = module(hidden)
    (wanted,) = torch.autograd.grad(whole[row, column].sum(), hidden)
    with only_there([module], row, column):
        some = module(hidden)
    (found,) = torch.autograd.grad(some[row, column].sum(), hidden)
    torch.testing.assert_close(some[row, column], whole[row, column])
    torch.testing.assert_close(found, wanted)
    assert not some[1].any()
    assert torch.equal(module(hidden), whole)
