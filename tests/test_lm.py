"""EditedLM against stock HFLM and against itself: the right model at every place, whatever shares the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from editharness.errors import UsageError
from editharness.lm import EditedLM
from editharness.patch import LowRank, RouterPatch, WeightPatch
from editharness.testing.tiny import tiny
from editharness.timeline import Timeline
from editharness_plugins.methods.context import FactsInContext

WEIGHT = "model.layers.1.mlp.down_proj.weight"
PROMPTS = ["The capital of Kenya is", "Norway", "A much longer prompt about the rivers of Peru and Chad is", "I"]
CONTINUE = {"until": [], "do_sample": False, "max_gen_toks": 8}


def asked(kind: str, arguments: tuple[Any, ...], state: tuple[str, str, str] | None = None) -> Instance:
    return Instance(request_type=kind, doc={"_state": list(state)} if state else {}, arguments=arguments, idx=0)


def edit(model: Any, seed: int) -> WeightPatch:
    rows, columns = model.get_parameter(WEIGHT).shape
    generator = torch.Generator().manual_seed(seed)
    factors = torch.randn(rows, 1, generator=generator), torch.randn(1, columns, generator=generator)
    return WeightPatch({WEIGHT: LowRank(*factors)})


@pytest.fixture
def made() -> tuple[Any, Any, Timeline]:
    model, tokenizer = tiny("llama")
    timeline = Timeline(model)
    for seed in range(4):
        timeline.add("m/one", edit(model, seed), kind="alone")
        timeline.add("m/all", edit(model, seed), kind="carried")
    return model, tokenizer, timeline


def likelihoods(lm: HFLM, requests: list[Instance]) -> list[float]:
    return [score for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]


def test_without_a_state_it_answers_as_stock_hflm(made: tuple[Any, Any, Timeline]) -> None:
    model, tokenizer, timeline = made
    stock, ours = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2), EditedLM(timeline, tokenizer, batch_size=2)
    scored = [asked("loglikelihood", (prompt, " Rome")) for prompt in PROMPTS]
    assert likelihoods(ours, scored) == pytest.approx(likelihoods(stock, scored), abs=1e-5)
    said = [asked("generate_until", (prompt, dict(CONTINUE))) for prompt in PROMPTS]
    assert ours.generate_until(said) == stock.generate_until(said, disable_tqdm=True)


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_every_request_is_answered_at_its_own_place(made: tuple[Any, Any, Timeline], batch_size: int) -> None:
    _, tokenizer, timeline = made
    places = [("m/one", "1", "alone"), ("m/all", "3", "carried"), ("", "0", "carried"), ("m/one", "4", "alone")]
    requests = [asked("loglikelihood", (prompt, " Rome"), place) for place in places for prompt in PROMPTS]
    mixed = likelihoods(EditedLM(timeline, tokenizer, batch_size=batch_size), requests)
    alone = []
    for place in places:
        with timeline.at((place[0], int(place[1]), place[2])):
            stock = HFLM(pretrained=timeline.model, tokenizer=tokenizer, batch_size=1)
            alone += likelihoods(stock, [asked("loglikelihood", (prompt, " Rome")) for prompt in PROMPTS])
    assert mixed == pytest.approx(alone, abs=1e-4)
    assert len({round(score, 3) for score in mixed[::4]}) == 4, "the edits must make a difference"


def test_the_model_is_unedited_afterwards(made: tuple[Any, Any, Timeline]) -> None:
    model, tokenizer, timeline = made
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    lm = EditedLM(timeline, tokenizer)
    lm.generate_until([asked("generate_until", (PROMPTS[0], dict(CONTINUE)), ("m/one", "2", "alone"))])
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    timeline.close()


def test_a_row_stops_at_its_own_stop_string(made: tuple[Any, Any, Timeline]) -> None:
    _, tokenizer, timeline = made
    lm = EditedLM(timeline, tokenizer, batch_size=4)
    free = lm.generate_until([asked("generate_until", (p, {**CONTINUE, "max_gen_toks": 12})) for p in PROMPTS])
    stop = free[0][3:6]
    gen = {**CONTINUE, "until": [stop], "max_gen_toks": 12}
    stopped = lm.generate_until([asked("generate_until", (p, dict(gen))) for p in PROMPTS])
    assert stopped == [text.split(stop)[0] for text in free]


def test_requests_that_differ_in_their_router_are_routed_each_by_its_own(made: tuple[Any, Any, Timeline]) -> None:
    _, tokenizer, timeline = made
    for told in ("Rome", "Oslo"):
        facts = FactsInContext({"facts": [["Kenya", f"the capital of Kenya is {told}"]]})
        timeline.add("context/x", RouterPatch(facts), kind="alone")
    lm = EditedLM(timeline, tokenizer)
    routed = [asked("loglikelihood", (PROMPTS[0], " Rome"), ("context/x", str(i), "alone")) for i in (1, 2)]
    written = [
        asked("loglikelihood", (f"Imagine that the capital of Kenya is {told}.\n{PROMPTS[0]}", " Rome"))
        for told in ("Rome", "Oslo")
    ]
    assert likelihoods(lm, routed) == pytest.approx(likelihoods(lm, written), abs=1e-5)


def test_a_cache_that_ignores_edits_is_refused(made: tuple[Any, Any, Timeline], tmp_path: Any) -> None:
    from lm_eval.api.model import CachingLM

    _, tokenizer, timeline = made
    with pytest.raises(UsageError, match="use_cache"):
        CachingLM(EditedLM(timeline, tokenizer), str(tmp_path / "cache.db"))
