"""BERTScore with a tiny encoder that is trained here to tell cities from rivers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.judges.encoders import CITIES, RIVERS, trained

from editharness.errors import ModelError, UsageError
from editharness_plugins.bertscore import bertscore, f1, load_encoder


@pytest.fixture(scope="module")
def encoder() -> tuple[Any, Any]:
    return trained()


def test_greedy_matching_is_the_papers_formula() -> None:
    one = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=-1)
    other = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), dim=-1)
    precision = (1.0 + 0.5**0.5 + 0.0) / 3
    recall = (1.0 + 0.0) / 2
    assert f1(one, other) == pytest.approx(2 * precision * recall / (precision + recall))
    assert f1(one, one) == pytest.approx(1.0)
    assert f1(one, other) == pytest.approx(f1(other, one))
    assert f1(one[:0], other) == 0.0


def test_the_same_text_scores_one_and_the_same_kind_more_than_another(encoder: tuple[Any, Any]) -> None:
    same = bertscore(*encoder, CITIES, CITIES)
    kin = bertscore(*encoder, CITIES, [*CITIES[1:], CITIES[0]])
    strange = bertscore(*encoder, CITIES, RIVERS)
    assert same == pytest.approx([1.0] * 4, abs=1e-5)
    assert min(kin) > max(strange) + 0.3
    assert min(kin) > 0.5, "a wrong answer of the right kind scores high: why exact match stands beside it"


def test_batches_and_padding_change_nothing(encoder: tuple[Any, Any]) -> None:
    texts = ["Rome", "the capital of France is Paris, of course", "", "Nile"]
    others = ["Oslo", "Paris", "Rome", "the river"]
    together = bertscore(*encoder, texts, others)
    alone = [bertscore(*encoder, [a], [b], batch_size=1)[0] for a, b in zip(texts, others, strict=True)]
    assert together == pytest.approx(alone, abs=1e-5)
    assert together[2] == 0.0


def test_a_saved_encoder_is_loaded_and_bad_input_is_named(encoder: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = encoder
    model.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    loaded = load_encoder(str(tmp_path / "encoder"))
    assert bertscore(*loaded, CITIES, RIVERS) == pytest.approx(bertscore(*encoder, CITIES, RIVERS), abs=1e-5)
    with pytest.raises(ModelError, match="no encoder for BERTScore in"):
        load_encoder(str(tmp_path / "nothing"))
    with pytest.raises(UsageError, match="layer 9: the encoder has 2 layers"):
        bertscore(*encoder, ["a"], ["b"], layer=9)
    with pytest.raises(UsageError, match="2 candidates, 1 references"):
        bertscore(*encoder, ["a", "b"], ["c"])
