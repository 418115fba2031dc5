"""What a module is told of the rows it sees, whoever runs the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editharness.errors import MethodError
from editharness.rows import Rows, generating, publishing, rows
from editharness.testing.tiny import tiny

PROMPTS = ["The capital of Kenya is", "Norway", "I"]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5), st.booleans()), min_size=1, max_size=5))
def test_prompts_are_found_whatever_side_is_padded(shapes: list[tuple[int, int, bool]]) -> None:
    width = max(prompt + answer for prompt, answer, _ in shapes)
    mask = torch.zeros(len(shapes), width, dtype=torch.bool)
    for row, (prompt, answer, left) in enumerate(shapes):
        start = width - prompt - answer if left else 0
        mask[row, start : start + prompt + answer] = True
    now = Rows.of_scoring(torch.tensor([prompt for prompt, _, _ in shapes]), mask.long())
    assert now.phase == "score"
    assert not bool((now.prompt & ~mask).any())
    for row, (prompt, answer, left) in enumerate(shapes):
        start = width - prompt - answer if left else 0
        assert now.prompt[row].nonzero()[:, 0].tolist() == list(range(start, start + prompt))
        assert int(now.last_prompt[row]) == start + prompt - 1


def test_outside_of_a_pass_nobody_knows() -> None:
    now = Rows.of_scoring(torch.tensor([1]), torch.ones(1, 2))
    with pytest.raises(MethodError, match="must know where the prompt ends"):
        rows()
    with publishing(now):
        assert rows() is now
    with pytest.raises(MethodError, match="must know where the prompt ends"):
        rows()


@pytest.fixture
def watched() -> tuple[Any, Any, list[Rows]]:
    model, tokenizer = tiny("llama")
    heard: list[Rows] = []
    model.get_input_embeddings().register_forward_hook(lambda *args: heard.append(rows()))
    return model, tokenizer, heard


def batch(tokenizer: Any, side: str) -> Any:
    tokenizer.padding_side = side
    return tokenizer(PROMPTS, return_tensors="pt", padding=True)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("cached", [True, False])
def test_generate_is_told_from_its_passes(watched: tuple[Any, Any, list[Rows]], side: str, cached: bool) -> None:
    model, tokenizer, heard = watched
    asked = batch(tokenizer, side)
    options = {"max_new_tokens": 3, "do_sample": False, "eos_token_id": None, "use_cache": cached}
    with generating(model):
        for _ in range(2):
            model.generate(**asked, **options)
    later = "decode" if cached else "score"
    assert [now.phase for now in heard] == ["prefill", later, later] * 2
    assert torch.equal(heard[0].prompt, asked.attention_mask.bool())
    assert heard[2].memo is heard[0].memo
    assert heard[3].memo is not heard[0].memo
    width = asked.input_ids.shape[1]
    for now in heard[1:3]:
        assert bool(now.mask[:, width:].all())
        assert int(now.prompt.sum()) == (0 if cached else int(asked.attention_mask.sum()))
    with pytest.raises(MethodError, match="must know where"):
        model(**asked)
    assert not model._forward_pre_hooks


def test_passes_that_cannot_be_told_are_refused(watched: tuple[Any, Any, list[Rows]]) -> None:
    model, tokenizer, _ = watched
    asked = batch(tokenizer, "left")
    with generating(model):
        with pytest.raises(MethodError, match="not embeddings"):
            model(inputs_embeds=torch.zeros(1, 2, 32))
        with pytest.raises(MethodError, match="which columns are padding"):
            model(asked.input_ids, attention_mask=torch.ones(3, 1, 4, 4))
    with publishing(Rows.of_scoring(asked.attention_mask.sum(dim=1), asked.attention_mask)):
        filled = model(**asked, use_cache=True).past_key_values
    with generating(model), pytest.raises(MethodError, match="filled outside"):
        model(asked.input_ids[:, :1], past_key_values=filled)
    with generating(model):
        filled = model(**asked, use_cache=True).past_key_values
        with pytest.raises(MethodError, match="2 tokens came at once"):
            model(asked.input_ids[:, :2], past_key_values=filled)
