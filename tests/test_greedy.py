"""Greedy answers against transformers' own generate, one prompt at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from editharness.greedy import WORTH_DROPPING, RowStop, Settings, greedy
from editharness.locate.forward import by_width
from editharness.models.modules import module_map
from editharness.testing.tiny import FAMILIES, tiny

PROMPTS = ["The capital of Kenya is", "Norway", "A much longer prompt about the rivers of Peru and Chad is", "I"]


def stock(model: Any, ids: list[int], length: int) -> list[int]:
    row = torch.tensor([ids])
    made = model.generate(input_ids=row, max_new_tokens=length, do_sample=False, pad_token_id=0)
    found: list[int] = made[0, len(ids) :].tolist()
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_all_rows_are_what_generate_gives_each_alone(family: str) -> None:
    model, tokenizer = tiny(family)
    prompts = [tokenizer(text).input_ids for text in PROMPTS]
    wanted = [stock(model, ids, 12) for ids in prompts]
    assert greedy(model, prompts, 12, RowStop(tokenizer, []), tokenizer.pad_token_id) == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_a_row_ends_at_its_own_stop_and_the_others_go_on(family: str) -> None:
    model, tokenizer = tiny(family)
    prompts = [tokenizer(text).input_ids for text in PROMPTS]
    whole = greedy(model, prompts, 12, RowStop(tokenizer, []), tokenizer.pad_token_id)
    stop = tokenizer.decode(whole[0][4:5])
    told: list[list[int]] = []
    made = greedy(
        model, prompts, 12, RowStop(tokenizer, [stop]), tokenizer.pad_token_id, lambda k: told.append(k.tolist())
    )
    for row, one in zip(whole, made, strict=True):
        first = next((n for n in range(1, 13) if stop in tokenizer.decode(row[:n])), 12)
        assert one == row[:first]
    assert len(made[0]) <= 5
    assert told, "finished rows are dropped, and whoever has something per row is told"


def test_a_row_that_waits_to_be_dropped_keeps_its_answer() -> None:
    model, tokenizer = tiny("llama")
    prompts = torch.randint(3, 250, (30, 6), generator=torch.Generator().manual_seed(0)).tolist()
    whole = greedy(model, prompts, 8, RowStop(tokenizer, []), tokenizer.pad_token_id)
    early = Counter(token for row in whole for token in set(row[:3]))
    rare = next(token for token, rows in early.items() if rows < WORTH_DROPPING * len(prompts))
    made = greedy(model, prompts, 8, RowStop(tokenizer, [tokenizer.decode([rare])]), tokenizer.pad_token_id)
    ends = [next((n for n in range(1, 9) if tokenizer.decode([rare]) in tokenizer.decode(row[:n])), 8) for row in whole]
    assert made == [row[:end] for row, end in zip(whole, ends, strict=True)]
    assert min(ends) <= 3


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_of_different_length_may_run_apart(family: str) -> None:
    model, tokenizer = tiny(family)
    texts = ["I", "Norway", " ".join(["The rivers of Peru and Chad are long."] * 5), "The capital of Kenya is", "A"] * 3
    prompts = [tokenizer(text).input_ids for text in texts]
    stop, last = RowStop(tokenizer, ["e"]), module_map(model).mlp(2)
    wanted = greedy(model, prompts, 10, stop, tokenizer.pad_token_id)
    assert len(by_width([len(prompt) for prompt in prompts])) > 1
    assert greedy(model, prompts, 10, stop, tokenizer.pad_token_id, together=False, spared=(last,)) == wanted


def test_the_models_own_end_of_text_ends_a_row() -> None:
    model, tokenizer = tiny("llama")
    prompts = [tokenizer(text).input_ids for text in PROMPTS]
    whole = greedy(model, prompts, 8, RowStop(tokenizer, []), tokenizer.pad_token_id)
    model.generation_config.eos_token_id = [whole[1][2], tokenizer.eos_token_id]
    made = greedy(model, prompts, 8, RowStop(tokenizer, []), tokenizer.pad_token_id)
    assert made[1] == whole[1][: whole[1].index(whole[1][2]) + 1]
    assert made == [stock(model, ids, 8) for ids in prompts]


@pytest.mark.parametrize(
    ("given", "plain"),
    [({}, True), ({"do_sample": False, "temperature": 0.0}, True), ({"do_sample": True}, False),
     ({"num_beams": 2}, False), ({"repetition_penalty": 1.1}, False), ({"temperature": 0.7, "do_sample": True}, False)],
)  # fmt: skip
def test_only_the_likeliest_token_is_plain(given: dict[str, Any], plain: bool) -> None:
    model, _ = tiny("llama")
    assert Settings.of({"until": ["."], "max_gen_toks": 5, **given}, "</s>").plain(model) is plain


def test_a_model_with_settings_of_its_own_is_left_to_transformers() -> None:
    model, _ = tiny("llama")
    settings = Settings.of({"until": [], "max_gen_toks": 5}, "</s>")
    assert settings.plain(model)
    model.generation_config.repetition_penalty = 1.05
    assert not settings.plain(model)
