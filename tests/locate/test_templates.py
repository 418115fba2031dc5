from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editharness.locate.templates import STARTERS, context_templates, template


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


@given(st.text())
def test_a_template_has_one_line_and_one_place(text: str) -> None:
    made = template(text)
    assert made.count("{}") == 1
    assert made.endswith(". {}")
    assert "\n" not in made
    assert "{" not in made[:-2]
