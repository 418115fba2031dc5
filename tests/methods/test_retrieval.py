"""Finding the stored fact that a text is about: vectors, ties, thresholds, and texts among tensors."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from editharness.errors import UsageError
from editharness.testing.tiny import TEXT, tiny_tokenizer
from editharness.types import Case, Question
from editharness_plugins.methods.retrieval import Lexical, Memory, Pairs, Sentences, texts_of
from editharness_plugins.methods.texts import Reader, pack, pack_json, pack_tokenizer, statement, unpack, unpack_json

CASES = tuple(
    Case(
        f"{i}",
        f"The capital of {name} is",
        (15, 15 + len(name)),
        "Rome",
        paraphrases=(f"The seat of government of {name} is",),
        neighbours=(Question(f"The capital of {other} is", "Paris"),),
    )
    for i, (name, other) in enumerate([("Kenya", "Peru"), ("Norway", "Chad"), ("Ghana", "Fiji"), ("Spain", "Cuba")])
)
LEXICAL = Lexical.fit(list(texts_of(CASES)))
ROWS = st.lists(st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3), min_size=1, max_size=6)
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


def memory(rows: list[list[float]]) -> Memory:
    return Memory(csr_matrix(np.array(rows, dtype=np.float32)))


def test_a_name_never_seen_weighs_most_and_a_shared_word_least() -> None:
    vectors = LEXICAL.embed(["Atlantis", "capital", "the"])
    weights = [float(LEXICAL.weights[row.indices[0]]) for row in vectors]
    assert weights[0] > weights[1] > weights[2]
    assert weights[0] == pytest.approx(1 + np.log(1 + len(list(texts_of(CASES)))))


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_lexical_vectors_have_length_one_and_cosines_lie_in_the_unit_interval(texts: list[str]) -> None:
    vectors = LEXICAL.embed(texts)
    lengths = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))
    cosines = (vectors @ vectors.T).toarray()
    assert cosines.min() >= 0
    assert cosines.max() <= 1 + 1e-5


def test_case_order_and_punctuation_do_not_matter_to_words() -> None:
    first, second = LEXICAL.embed(["Kenya's capital: is {it}?", "is it\ncapital KENYA s"])
    assert float((first @ second.T).sum()) == pytest.approx(1)


@given(ROWS)
def test_a_memory_comes_back_from_its_tensors(rows: list[list[float]]) -> None:
    kept = memory(rows)
    back = Memory.from_tensors(kept.to_tensors("m"), "m")
    assert back is not None
    assert (back.vectors != kept.vectors).nnz == 0
    assert back.vectors.shape == kept.vectors.shape
    assert Memory.from_tensors({}, "m") is None


def test_the_latest_of_equal_rows_is_nearest_and_the_earliest_of_equal_ones_best() -> None:
    held = memory([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0.5, 0.5, 0]])
    asked = csr_matrix(np.array([[1.0, 0, 0]], dtype=np.float32))
    assert held.nearest(asked) == (2, 1.0)
    assert held.best(asked, 3) == [0, 2, 3]
    assert held.append(asked).nearest(asked) == (4, 1.0)


@given(SCORES, SCORES)
def test_no_cut_between_the_scores_is_better_than_the_threshold(same: np.ndarray, other: np.ndarray) -> None:
    def right(cut: float) -> float:
        return float((same > cut).mean() + (other <= cut).mean())

    found = Pairs(same, other).threshold()
    scores = np.unique(np.concatenate([same, other]))
    assert right(found) >= max((right((a + b) / 2) for a, b in pairwise(scores)), default=0) - 1e-9


def test_the_threshold_parts_paraphrases_from_neighbours() -> None:
    pairs = Pairs.of(LEXICAL, CASES)
    assert (len(pairs.same), len(pairs.other)) == (4, 4)
    assert Pairs(np.array([0.8, 0.9]), np.array([0.1, 0.2])).threshold() == pytest.approx(0.5)


@pytest.mark.parametrize("lacking", ["paraphrases", "neighbours"])
def test_without_pairs_there_is_no_threshold(lacking: str) -> None:
    poor = [Case(**{**vars(case), lacking: ()}) for case in CASES]
    with pytest.raises(UsageError, match="--set threshold="):
        Pairs.of(LEXICAL, poor).threshold()


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UsageError, match=r"editharness\[ike\]") as caught:
        Sentences("some/model").embed(["a"])
    assert "\n" not in str(caught.value)


@given(st.text())
def test_texts_come_back_from_tensors(text: str) -> None:
    if text:
        assert unpack(pack(text)) == text
    assert unpack_json(pack_json([text, {"a": 1}])) == [text, {"a": 1}]
    assert pack_json(text).dtype == torch.uint8


@given(st.text(max_size=60), st.integers(0, 80), st.booleans())
def test_a_text_fits_as_the_tokenizer_counts(text: str, room: int, bos: bool) -> None:
    tokenizer = READERS[bos][0]
    assert READERS[bos][1].fits(text, room) == (len(tokenizer(text)["input_ids"]) <= room)


def test_a_reader_does_not_inherit_padding_or_truncation() -> None:
    tokenizer = tiny_tokenizer(bos=True)
    tokenizer(list(TEXT), padding=True, truncation=True, max_length=5)
    reader = Reader(pack_tokenizer(tokenizer))
    assert not reader.fits(TEXT[0], 6)
    assert reader.ids(TEXT[0]) == tokenizer(" " + TEXT[0], add_special_tokens=False)["input_ids"]


def test_a_statement_has_one_space_before_its_answer() -> None:
    assert statement("The capital is ", " Rome ") == statement("The capital is", "Rome") == "The capital is Rome"


READERS = {
    bos: (tokenizer, Reader(pack_tokenizer(tokenizer)))
    for bos, tokenizer in ((bos, tiny_tokenizer(bos=bos)) for bos in (True, False))
}
