"""EditedLM against stock HFLM and against itself: the right model at every place, whatever shares the batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

from editharness.answered import Likelihood, Said
from editharness.errors import MethodError, UsageError
from editharness.lm import EditedLM
from editharness.patch import LowRank, ModulePatch, RouterPatch, WeightPatch
from editharness.rows import Rows, WholeSequence, rows
from editharness.testing.tiny import FAMILIES, tiny
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


def bos_tokenizer(tokenizer: Any) -> Any:
    """The same, but it puts a token before every text."""
    made = copy.deepcopy(tokenizer)
    bos = made.bos_token or made.eos_token
    made.bos_token = bos
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, made.bos_token_id)]
    )
    return made


def likelihoods(lm: HFLM, requests: list[Instance]) -> list[float]:
    return [score for score, _ in lm.loglikelihood(requests, disable_tqdm=True)]


@pytest.mark.parametrize("add_bos", [None, False, True])
def test_texts_encoded_together_are_encoded_as_hflm_encodes_each(
    made: tuple[Any, Any, Timeline], add_bos: bool | None
) -> None:
    model, tokenizer, timeline = made
    tokenizer = bos_tokenizer(tokenizer)
    stock, ours = HFLM(pretrained=model, tokenizer=tokenizer), EditedLM(timeline, tokenizer)
    stock.add_bos_token = ours.add_bos_token = add_bos
    texts = [*PROMPTS, "ends in a space ", f"{tokenizer.bos_token}begins a text itself"]
    found = ours._encode([asked("loglikelihood", (text, " Rome")) for text in texts])
    assert len(found) >= 2 * len(PROMPTS)
    for text, ids in found.items():
        assert ids == stock.tok_encode(text)


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


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_stock_hflm(family: str) -> None:
    model, tokenizer = tiny(family)
    stock = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2)
    greedy = stock.generate_until([asked("generate_until", (PROMPTS[0], dict(CONTINUE)))], disable_tqdm=True)[0]
    pairs = [(p, c) for p in PROMPTS for c in (" Rome", " a rather long answer", " x")]
    pairs += [("", " Rome"), (PROMPTS[0], greedy[:6] or " "), ("word " * 200, " Rome" * 3)]
    requests = [asked("loglikelihood", pair) for pair in pairs]
    wanted = stock.loglikelihood(requests, disable_tqdm=True)
    for batch_size in (1, 5):
        found = EditedLM(Timeline(model), tokenizer, batch_size=batch_size).loglikelihood(requests)
        assert [score for score, _ in found] == pytest.approx([score for score, _ in wanted], abs=1e-5, rel=1e-5)
        assert [right for _, right in found] == [right for _, right in wanted]


def test_a_greedy_continuation_is_seen_as_one() -> None:
    model, tokenizer = tiny("gpt2")
    lm = EditedLM(Timeline(model), tokenizer)
    ids = tokenizer(PROMPTS[0], return_tensors="pt").input_ids
    said = model.generate(ids, max_new_tokens=3, do_sample=False)[0, ids.shape[1] :].tolist()
    wrong = [*said[:2], (said[2] + 1) % len(tokenizer)]
    answers = lm._loglikelihood_tokens([(None, ids[0].tolist(), end) for end in (said, wrong)])
    assert [right for _, right in answers] == [True, False]


@pytest.mark.parametrize("max_length", [None, 16])
def test_rolling_scores_are_those_of_stock_hflm(made: tuple[Any, Any, Timeline], max_length: int | None) -> None:
    model, tokenizer, timeline = made
    requests = [asked("loglikelihood_rolling", (text,)) for text in (PROMPTS[2] * 3, PROMPTS[0], "I")]
    stock = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2, max_length=max_length)
    ours = EditedLM(timeline, tokenizer, batch_size=2, max_length=max_length)
    wanted = stock.loglikelihood_rolling(requests, disable_tqdm=True)
    assert ours.loglikelihood_rolling(requests) == pytest.approx(wanted, rel=1e-5)


def test_a_long_request_is_cut_on_the_left_as_stock_hflm_does(made: tuple[Any, Any, Timeline]) -> None:
    model, tokenizer, timeline = made
    requests = [asked("loglikelihood", (PROMPTS[2], " Rome and Oslo")), asked("loglikelihood", (PROMPTS[0], " Rome"))]
    stock = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2, max_length=12)
    ours = EditedLM(timeline, tokenizer, batch_size=2, max_length=12)
    assert likelihoods(ours, requests) == pytest.approx(likelihoods(stock, requests), abs=1e-5)
    assert likelihoods(ours, requests)[0] != pytest.approx(likelihoods(EditedLM(timeline, tokenizer), requests)[0])
    with pytest.raises(UsageError, match="the model takes 12"):
        ours.loglikelihood([asked("loglikelihood", ("I", " Rome" * 20))])


def test_a_request_without_tokens_to_score_is_refused(made: tuple[Any, Any, Timeline]) -> None:
    _, tokenizer, timeline = made
    with pytest.raises(UsageError, match="no tokens in its continuation"):
        EditedLM(timeline, tokenizer)._loglikelihood_tokens([(None, [1, 2], [])])


@dataclass(frozen=True)
class Listening:
    """A recipe whose module notes the rows that it is told of, and changes nothing."""

    heard: list[Rows]
    whole: bool = False
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "listening"

    def build(self, original: nn.Module) -> nn.Module:
        def hear(module: nn.Module, hidden: Tensor) -> Tensor:
            self.heard.append(rows())
            return original(hidden)  # type: ignore[no-any-return]

        return type("Ear", (WholeSequence if self.whole else nn.Module,), {"forward": hear})()  # type: ignore[no-any-return]


def listening(timeline: Timeline, *, whole: bool = False) -> list[Rows]:
    heard: list[Rows] = []
    timeline.add("ear", ModulePatch({"model.layers.1.mlp.down_proj": Listening(heard, whole)}), kind="alone")
    return heard


def test_scoring_says_where_prompts_end(made: tuple[Any, Any, Timeline]) -> None:
    _, tokenizer, timeline = made
    heard = listening(timeline)
    lm = EditedLM(timeline, tokenizer, batch_size=4, default=("ear", 1, "alone"))
    lm.loglikelihood([asked("loglikelihood", (prompt, " Rome")) for prompt in PROMPTS])
    prompts = sorted(len(tokenizer(prompt).input_ids) for prompt in PROMPTS)
    extra = len(tokenizer(" Rome", add_special_tokens=False).input_ids) - 1
    assert {now.phase for now in heard} == {"score"}
    assert sorted(n for now in heard for n in now.prompt.sum(dim=1).tolist()) == prompts
    assert sorted(n for now in heard for n in now.mask.sum(dim=1).tolist()) == [length + extra for length in prompts]
    assert sorted(n for now in heard for n in now.last_prompt.tolist()) == [length - 1 for length in prompts]
    lm.loglikelihood_rolling([asked("loglikelihood_rolling", (PROMPTS[0],))])
    assert heard[-1].prompt.sum(dim=1).tolist() == [1], "a text without a question has only what stands before it"


def test_generation_says_which_pass_is_the_prompt(made: tuple[Any, Any, Timeline]) -> None:
    _, tokenizer, timeline = made
    heard = listening(timeline)
    lm = EditedLM(timeline, tokenizer, batch_size=2, default=("ear", 1, "alone"))
    requests = [asked("generate_until", (prompt, {**CONTINUE, "max_gen_toks": 3})) for prompt in PROMPTS]
    lm.generate_until(requests)
    assert [now.phase for now in heard] == ["prefill", "decode", "decode"] * 2
    lengths = sorted((len(tokenizer(prompt).input_ids) for prompt in PROMPTS), reverse=True)
    assert heard[0].prompt.sum(dim=1).tolist() == lengths[:2]
    assert heard[0].last_prompt.tolist() == [lengths[0] - 1] * 2, "padded on the left"
    assert heard[1].memo is heard[0].memo
    assert heard[3].memo is not heard[0].memo


def test_a_module_that_judges_the_whole_sequence_gets_no_cache(made: tuple[Any, Any, Timeline]) -> None:
    _, tokenizer, timeline = made
    requests = [asked("generate_until", (prompt, {**CONTINUE, "max_gen_toks": 3})) for prompt in PROMPTS[:2]]
    cached = EditedLM(timeline, tokenizer).generate_until(requests)
    heard = listening(timeline, whole=True)
    whole = EditedLM(timeline, tokenizer, default=("ear", 1, "alone")).generate_until(requests)
    assert whole == cached
    assert [now.phase for now in heard] == ["prefill", "score", "score"]
    assert [now.mask.shape[1] - heard[0].mask.shape[1] for now in heard] == [0, 1, 2]
    assert all(torch.equal(now.prompt.sum(dim=1), heard[0].mask.sum(dim=1)) for now in heard)


@dataclass(frozen=True)
class Elsewhere:
    """Sends what names Norway to a second model."""

    second: Any = None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "elsewhere"

    def route(self, context: str) -> tuple[str, str]:
        return (f"So: {context}", "second") if "Norway" in context else (context, "base")

    def answerer(self, name: str, base: nn.Module) -> nn.Module:
        assert name == "second"
        assert isinstance(base, nn.Module)
        return self.second  # type: ignore[no-any-return]


def test_a_router_may_have_a_second_model_answer(made: tuple[Any, Any, Timeline]) -> None:
    model, tokenizer, timeline = made
    second, _ = tiny("gpt2", seed=5, layers=2)
    place = timeline.add("serac", RouterPatch(Elsewhere(second)), kind="alone")
    lm = EditedLM(timeline, tokenizer, batch_size=2, default=place)
    other = HFLM(pretrained=second, tokenizer=tokenizer, batch_size=1)
    stock = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    scored = [asked("loglikelihood", (prompt, " Rome")) for prompt in PROMPTS]
    wanted = likelihoods(stock, scored)
    (wanted[1],) = likelihoods(other, [asked("loglikelihood", ("So: Norway", " Rome"))])
    assert likelihoods(lm, scored) == pytest.approx(wanted, abs=1e-5)
    said = lm.generate_until([asked("generate_until", (PROMPTS[1], dict(CONTINUE)))])
    assert said == other.generate_until([asked("generate_until", ("So: Norway", dict(CONTINUE)))], disable_tqdm=True)
    assert lm.model is model


def test_a_name_that_no_model_answers_to_is_an_error(made: tuple[Any, Any, Timeline]) -> None:
    @dataclass(frozen=True)
    class Lost:
        tensors: Mapping[str, Tensor] = field(default_factory=dict)
        config: Mapping[str, Any] = field(default_factory=dict)
        kind: str = "lost"

        def route(self, context: str) -> tuple[str, str]:
            return context, "nobody"

    _, tokenizer, timeline = made
    place = timeline.add("lost", RouterPatch(Lost()), kind="alone")
    with pytest.raises(MethodError, match="'lost' sent a request to 'nobody', but has no such model"):
        EditedLM(timeline, tokenizer, default=place).loglikelihood([asked("loglikelihood", ("I", " am"))])


def test_likelihoods_and_answers_tell_their_tokens(made: tuple[Any, Any, Timeline]) -> None:
    model, tokenizer, timeline = made
    lm = EditedLM(timeline, tokenizer, batch_size=3)
    target = tokenizer(" Rome and Oslo", add_special_tokens=False).input_ids
    scored = lm.loglikelihood([asked("loglikelihood", (prompt, " Rome and Oslo")) for prompt in PROMPTS])
    said = lm.generate_until([asked("generate_until", (p, {**CONTINUE, "until": ["e"]})) for p in PROMPTS])
    for prompt, found, text in zip(PROMPTS, scored, said, strict=True):
        assert isinstance(found, Likelihood)
        start = tokenizer(prompt, return_tensors="pt").input_ids
        logits = model(torch.cat([start, torch.tensor([target])], dim=1)).logits[0, start.shape[1] - 1 : -1]
        assert found.tokens == tuple(target)
        assert found.greedy == tuple(logits.argmax(dim=-1).tolist())
        assert found.right == tuple(a == b for a, b in zip(found.greedy, target, strict=True))
        assert found.forced == tokenizer.decode(found.greedy)
        assert found == (pytest.approx(float(found[0])), all(found.right))
        assert isinstance(text, Said)
        free = model.generate(start, max_new_tokens=8, do_sample=False)[0, start.shape[1] :].tolist()
        assert text.tokens == tuple(free[: len(text.tokens)])
        assert text == tokenizer.decode(text.tokens).split("e")[0]
        assert text.first(2) == tokenizer.decode(text.tokens[:2])


def test_a_copied_answer_does_not_take_the_model_along(made: tuple[Any, Any, Timeline]) -> None:
    _, tokenizer, timeline = made
    (said,) = EditedLM(timeline, tokenizer).generate_until([asked("generate_until", (PROMPTS[0], dict(CONTINUE)))])
    assert isinstance(said, Said)
    copied = copy.deepcopy(said)
    assert copied.decode is said.decode
    assert (copied, copied.tokens) == (said, said.tokens)


def test_edits_that_stand_alone_are_asked_in_one_batch(made: tuple[Any, Any, Timeline]) -> None:
    model, tokenizer, timeline = made
    places: list[Any] = [("m/one", step, "alone") for step in (1, 2, 3, 4)]
    pairs = [(prompt, place) for prompt in PROMPTS for place in places]
    passes: list[int] = []
    hook = model.register_forward_hook(lambda module, inputs, output: passes.append(1))
    lm = EditedLM(timeline, tokenizer, batch_size=32)
    scored = lm.loglikelihood([asked("loglikelihood", (prompt, " Rome and Oslo"), place) for prompt, place in pairs])
    assert len(passes) <= len(PROMPTS), "no more passes than prompts have lengths"
    said = lm.generate_until([asked("generate_until", (prompt, dict(CONTINUE)), place) for prompt, place in pairs])
    hook.remove()
    for (prompt, place), (score, _), text in zip(pairs, scored, said, strict=True):
        with timeline.at(place):
            stock = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
            assert score == pytest.approx(
                likelihoods(stock, [asked("loglikelihood", (prompt, " Rome and Oslo"))])[0], abs=1e-4
            )
            assert (
                text == stock.generate_until([asked("generate_until", (prompt, dict(CONTINUE)))], disable_tqdm=True)[0]
            )


def test_continuations_of_one_token_share_their_prompts_row(made: tuple[Any, Any, Timeline]) -> None:
    model, tokenizer, timeline = made
    words = [
        word
        for word in (" the", " is", " of", " city")
        if len(tokenizer(word, add_special_tokens=False).input_ids) == 1
    ]
    assert len(words) > 1
    sizes: list[int] = []
    hook = model.register_forward_hook(lambda module, inputs, output: sizes.append(len(output.logits)))
    requests = [asked("loglikelihood", (prompt, word)) for prompt in PROMPTS for word in words]
    ours = likelihoods(EditedLM(timeline, tokenizer, batch_size=32), requests)
    hook.remove()
    assert sum(sizes) == len(PROMPTS), "one position per prompt goes through the head"
    assert ours == pytest.approx(likelihoods(HFLM(pretrained=model, tokenizer=tokenizer), requests), abs=1e-5)


def test_an_edit_of_the_last_mlp_is_asked_row_by_row_too() -> None:
    model, tokenizer = tiny("llama")
    timeline, name = Timeline(model), "model.layers.2.mlp.down_proj.weight"
    for seed in (1, 2):
        factors = next(iter(edit(model, seed).deltas.values()))
        timeline.add("m/one", WeightPatch({name: factors}), kind="alone")
    places: list[Any] = [("m/one", 1, "alone"), ("m/one", 2, "alone")]
    requests = [asked("loglikelihood", (prompt, " Rome"), place) for prompt in PROMPTS for place in places]
    together = likelihoods(EditedLM(timeline, tokenizer), requests)
    for request, score in zip(requests, together, strict=True):
        with timeline.at(tuple(request.doc["_state"])):
            stock = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
            assert score == pytest.approx(likelihoods(stock, [asked("loglikelihood", request.args)])[0], abs=1e-4)


def test_one_row_at_a_time_shares_nothing_and_says_the_same(made: tuple[Any, Any, Timeline]) -> None:
    model, tokenizer, timeline = made
    places: list[Any] = [("m/one", step, "alone") for step in (1, 2)]
    requests = [asked("loglikelihood", (prompt, " the"), place) for prompt in PROMPTS for place in places * 2]
    passes: list[torch.Size] = []
    hook = model.register_forward_hook(lambda module, inputs, output: passes.append(output.logits.shape))
    alone = likelihoods(EditedLM(timeline, tokenizer, batch_size=1), requests)
    hook.remove()
    assert len(passes) == len(requests)
    assert alone == pytest.approx(likelihoods(EditedLM(timeline, tokenizer, batch_size=32), requests), abs=1e-5)
