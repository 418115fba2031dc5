from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editharness.locate.templates import STARTERS, VARIED, Sampling, context_templates, template


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_sampled_templates(made: Callable[..., Any], family: str) -> None:
    model, tokenizer = made(family)
    found = context_templates(model, tokenizer, 7, 8, generator(1))
    assert len(found) == 7
    for index, text in enumerate(found):
        assert text.startswith(STARTERS[index % 5])
        assert text.endswith(". {}")
        assert text.count("{") == text.count("}") == 1
        assert not any(special in text for special in tokenizer.all_special_tokens)
    assert context_templates(model, tokenizer, 7, 8, generator(1)) == found
    assert context_templates(model, tokenizer, 7, 8, generator(2)) != found
    assert context_templates(model, tokenizer, 0, 8, generator(1)) == ()


def test_the_length_counts_new_tokens_where_it_is_fresh(made: Callable[..., Any]) -> None:
    model, tokenizer = made("llama")
    likeliest = Sampling(starters=("Nevertheless",), top_k=1)
    start = tokenizer.encode("Nevertheless")
    assert len(start) > 3
    for length in (1, 4):
        fresh, whole = (
            context_templates(model, tokenizer, 1, size, generator(1), Sampling(("Nevertheless",), top_k=1, fresh=new))
            for size, new in ((length, True), (length + len(start), False))
        )
        assert fresh == whole
    assert context_templates(model, tokenizer, 1, 1, generator(1), likeliest) == ("Nevertheless. {}",)
    assert [
        text.split()[0].strip(".") for text in context_templates(model, tokenizer, 12, 0, generator(1), VARIED)
    ] == list(VARIED.starters)


def test_top_p_and_temperature_leave_the_likeliest(made: Callable[..., Any]) -> None:
    model, tokenizer = made("gpt2")
    greedy = context_templates(model, tokenizer, 5, 12, generator(1), Sampling(top_k=1))
    assert context_templates(model, tokenizer, 5, 12, generator(2), Sampling(top_k=50, top_p=1e-6)) == greedy
    assert context_templates(model, tokenizer, 5, 12, generator(2), Sampling(top_k=50, temperature=1e-4)) == greedy
    assert context_templates(model, tokenizer, 5, 12, generator(2), Sampling(top_k=50)) != greedy


@given(st.text())
def test_a_template_has_one_line_and_one_place(text: str) -> None:
    made = template(text)
    assert made.count("{}") == 1
    assert made.endswith(". {}")
    assert "\n" not in made
    assert "{" not in made[:-2]
