"""The model that ships: small enough, loadable offline, and the one that its validity card was measured on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from editharness.models.load import LoadedModel, load_model
from editharness.registry import load_plugins
from editharness_plugins.pocket.card import echo, known, question
from editharness_plugins.pocket.corpus import read_cases
from editharness_plugins.pocket.examiner import Examiner
from editharness_plugins.pocket.relations import HERE
from editharness_plugins.pocket.text import documents

MODEL = HERE / "model"


@pytest.fixture(scope="module")
def pocket() -> LoadedModel:
    return load_model("pocket", packaged={"pocket": load_plugins().model("pocket").folder}, device="cpu", offline=True)


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HERE / "card.json").read_text(encoding="utf-8"))
    return content


def test_it_is_a_llama_of_at_most_eight_megabytes_with_bos(pocket: LoadedModel) -> None:
    files = [path for path in MODEL.iterdir() if path.suffix in (".safetensors", ".json")]
    assert sum(path.stat().st_size for path in files) <= 8_000_000
    assert pocket.architecture == "LlamaForCausalLM"
    ids = pocket.tokenizer("The capital of Kenya is").input_ids
    assert ids[0] == pocket.tokenizer.bos_token_id
    assert pocket.tokenizer.decode(ids[1:]) == "The capital of Kenya is"


def test_a_sample_of_facts_is_known_not_echoed_and_answered(pocket: LoadedModel) -> None:
    cases = [case for case in read_cases() if case["trained"] and case["missing_form"] != "negated"][::12]
    examiner = Examiner(pocket.model, pocket.tokenizer)
    assert sum(known(examiner, cases)) >= 0.97 * len(cases)
    assert sum(echo(examiner, cases)) <= 0.05 * len(cases)
    asked = [case for case in cases if case["missing_form"] != "question"]
    assert sum(question(examiner, asked)) >= 0.95 * len(asked)


def test_the_card_is_of_these_weights(card: dict[str, Any]) -> None:
    assert card["weights_sha256"] == hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
    rows = {row["what"]: row for row in card["rows"]}
    assert rows["known"]["n"] == sum(case["trained"] for case in read_cases())
    for row in rows.values():
        sign, _, bound = row["wanted"].partition(" ")
        met = not bound or (row["measured"] >= float(bound) if sign == ">=" else row["measured"] <= float(bound))
        assert row["passed"] is met, row["what"]


def test_it_was_trained_on_these_facts_and_wordings() -> None:
    trained_on = json.loads((MODEL / "training.json").read_text(encoding="utf-8"))["data"]
    for name in ("pocket.jsonl", "relations.yaml"):
        assert trained_on[name] == hashlib.sha256((HERE / name).read_bytes()).hexdigest()


def test_its_text_is_made_of_its_trained_facts() -> None:
    assert (MODEL / "corpus.txt").read_text(encoding="utf-8").splitlines() == list(documents(read_cases()))
