from __future__ import annotations

import pytest
import torch

from editharness.errors import UnknownNameError
from editharness.models.load import weights_digest
from editharness.testing.tiny import FAMILIES, tiny, tiny_tokenizer


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_same_seed_same_model_and_torch_is_left_alone(family: str) -> None:
    state = torch.random.get_rng_state()
    first, second, other = (weights_digest(tiny(family, seed=seed)[0]) for seed in (0, 0, 1))
    assert first == second != other
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_answers_depend_on_the_question(family: str) -> None:
    model, tokenizer = tiny(family, hidden=48, layers=2)
    last = [model(input_ids=torch.tensor([tokenizer.encode(text)])).logits[0, -1] for text in ("Paris is", "Rome, a")]
    assert (last[0] - last[1]).abs().max() > 0.01
    assert len(tokenizer) == model.config.vocab_size


@pytest.mark.parametrize("bos", [False, True])
def test_any_text_comes_back(bos: bool) -> None:
    tokenizer = tiny_tokenizer(bos=bos)
    ids = tokenizer.encode("naïve 東京 😀 {x}\n")
    assert tokenizer.decode(ids, skip_special_tokens=True) == "naïve 東京 😀 {x}\n"
    assert (ids[0] == tokenizer.bos_token_id) is bos


def test_an_unknown_family() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'llama'"):
        tiny("lama")
