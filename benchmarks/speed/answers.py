"""Answers of edited models: free generation, edits that stand alone, and what EditedLM adds to the forward passes."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

import shapes
import torch
from lm_eval.api.instance import Instance
from timing import Pair

from editharness.lm import EditedLM
from editharness.models.modules import module_map
from editharness.patch import LowRank, WeightPatch, apply
from editharness.timeline import UNEDITED, Timeline
from editharness.types import StateId

LENGTH = 50
STOPS = ["\n"]


def generation(shape: str, prompts: int, least: float) -> Pair:
    """WILD's setting: 50 new tokens at most, up to a stop that fires at another step in every row."""
    wanted = shapes.SHAPES[shape]
    model, tokenizer = shapes.make(wanted)
    asked = shapes.texts(prompts, wanted.words, (20, 60))
    requests = [_request("generate_until", (text, {"until": STOPS, "max_gen_toks": LENGTH})) for text in asked]

    def ours() -> list[str]:
        return [
            str(one)
            for one in EditedLM(Timeline(model, digest="not taken"), tokenizer, batch_size=64).generate_until(requests)
        ]

    def agree(fast: list[str], slow: list[str]) -> str:
        same = sum(a == b for a, b in zip(fast, slow, strict=True))
        lengths = [len(text.split()) for text in slow]
        words = f"{min(lengths)} to {max(lengths)} words, mean {sum(lengths) / prompts:.0f}"
        return f"{same} of {prompts} texts the same; {words}"

    return Pair(
        f"WILD generation, {prompts} prompts of mixed length, stops at different steps",
        ours, lambda: [one_by_one(model, tokenizer, text) for text in asked], agree, least,
    )  # fmt: skip


@torch.no_grad()
def one_by_one(model: Any, tokenizer: Any, text: str) -> str:
    """One prompt, no cache: the whole text through the whole model for every new token."""
    ids = torch.tensor([tokenizer(text).input_ids])
    start = ids.shape[1]
    for _ in range(LENGTH):
        token = model(input_ids=ids, use_cache=False).logits[0, -1].argmax()
        if int(token) == tokenizer.eos_token_id:
            break
        ids = torch.cat([ids, token[None, None]], dim=1)
        if any(stop in tokenizer.decode(ids[0, start:]) for stop in STOPS):
            break
    said = tokenizer.decode(ids[0, start:], skip_special_tokens=True)
    for stop in STOPS:
        said = said.split(stop)[0]
    return str(said)


def single(shape: str, edits: int, probes: int, least: float) -> Pair:
    """`single`: every edit alone, its probes teacher forced; against apply, one forward pass a probe, undo."""
    wanted = shapes.SHAPES[shape]
    model, tokenizer = shapes.make(wanted)
    lot = random.Random(0)
    patches = [patch(model, wanted, layers=(1, 2, 3), seed=number) for number in range(edits)]
    asked = [
        (number, shapes.some_words(lot, lot.randint(5, 17), wanted.words), shapes.some_words(lot, 1, wanted.words))
        for number in range(edits)
        for _ in range(probes)
    ]

    def ours() -> list[float]:
        timeline = Timeline(model, digest="not taken")
        places = [timeline.add("positive", one, kind="alone") for one in patches]
        requests = [_request("loglikelihood", (text, f" {word}"), places[number]) for number, text, word in asked]
        return [float(one[0]) for one in EditedLM(timeline, tokenizer, batch_size=64).loglikelihood(requests)]

    def theirs() -> list[float]:
        found = []
        for number, one in enumerate(patches):
            with apply(model, one):
                found += [forced(model, tokenizer, text, word) for edit, text, word in asked if edit == number]
        return found

    return Pair(
        f"{edits} edits alone, {probes} teacher-forced probes each", ours, theirs,
        lambda a, b: f"log p within {max(abs(x - y) for x, y in zip(a, b, strict=True)):.0e}", least,
    )  # fmt: skip


@torch.no_grad()
def forced(model: Any, tokenizer: Any, text: str, word: str) -> float:
    """log p of a word after a text."""
    prompt, answer = tokenizer(text).input_ids, tokenizer(word, add_special_tokens=False).input_ids
    ids = torch.tensor([[*prompt, *answer]])
    logp = model(input_ids=ids, use_cache=False).logits[0].log_softmax(dim=-1)
    return float(sum(logp[len(prompt) - 1 + i, token] for i, token in enumerate(answer)))


def overhead(shape: str, texts: int, at_most: float) -> Pair:
    """EditedLM's answers against the same batches through the model and nothing else; lm-eval's own part beside it."""
    wanted = shapes.SHAPES[shape]
    model, tokenizer = shapes.make(wanted)
    asked = shapes.texts(texts, wanted.words, (3, 60))
    word = f" {shapes.word(21)}"
    requests = [_request("loglikelihood", (text, word)) for text in asked]
    lm = EditedLM(Timeline(model, digest="not taken"), tokenizer, batch_size=64)

    ids = sorted((tokenizer(text + word).input_ids[:-1] for text in asked), key=len, reverse=True)
    batches = [ids[start : start + lm.batch_size] for start in range(0, len(ids), lm.batch_size)]

    def bare() -> None:
        with torch.no_grad():
            for batch in batches:
                rows = torch.zeros(len(batch), max(map(len, batch)), dtype=torch.long)
                mask = torch.zeros_like(rows)
                for row, one in enumerate(batch):
                    rows[row, : len(one)], mask[row, : len(one)] = torch.tensor(one), 1
                model(input_ids=rows, attention_mask=mask, use_cache=False, logits_to_keep=1)

    start = time.perf_counter()
    for request in requests:
        lm._encode_pair(*request.args)
    encoding = f"lm-eval's own encoding of the requests takes {1000 * (time.perf_counter() - start):.0f} ms of it"
    return Pair(
        f"EditedLM over the bare forward passes, {texts} texts", lambda: lm.loglikelihood(requests), bare,
        lambda a, b: encoding, at_most, at_most=True,
    )  # fmt: skip


def patch(model: Any, shape: shapes.Shape, layers: Sequence[int], seed: int) -> WeightPatch:
    """A random change of rank one of each layer's down projection, of a size that moves answers."""
    generator, modules = torch.Generator().manual_seed(seed), module_map(model)

    def one() -> LowRank:
        a, b = (torch.randn(*size, generator=generator) for size in ((shape.hidden, 1), (1, shape.inner)))
        return LowRank(0.02 * a, 0.02 * b)

    return WeightPatch({modules.down_weight(layer): one() for layer in layers})


def _request(kind: Any, arguments: tuple[Any, ...], place: StateId = UNEDITED) -> Instance:
    return Instance(request_type=kind, doc={"_state": list(place)}, arguments=arguments, idx=0)
