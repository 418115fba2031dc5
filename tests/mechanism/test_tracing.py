"""Causal tracing against a plain computation: one row, one state, one forward pass at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from editharness.mechanism.averaging import averages
from editharness.mechanism.roles import roles_of
from editharness.mechanism.tracing import (
    Trace,
    TraceOptions,
    TracePrompt,
    draw_noise,
    embedding_spread,
    probabilities,
    trace,
    trace_all,
    window_round,
)
from editharness.models.modules import module_map
from editharness.models.spans import encode_text
from editharness.testing.tiny import FAMILIES, tiny

PROMPT, SUBJECT, ANSWER = "The mother tongue of Danielle Darrieux is", "Danielle Darrieux", 17


def prompt_of(tokenizer: Any, case: str = "1") -> TracePrompt:
    ids, offsets = encode_text(tokenizer, PROMPT)
    start = PROMPT.index(SUBJECT)
    return TracePrompt(case, SUBJECT, ids, roles_of(offsets, (start, start + len(SUBJECT))), ANSWER)


def plainly(model: Any, names: list[str], embedding: str, prompt: TracePrompt, noise: Tensor, job: Any) -> Tensor:
    """p(answer) with the noise of one sample; `job`: (token, layers to restore), or None."""
    clean: dict[str, Tensor] = {}
    ids = torch.tensor([prompt.ids])

    def out(value: Any) -> Tensor:
        return value if isinstance(value, Tensor) else value[0]

    hooks = [
        model.get_submodule(name).register_forward_hook(lambda m, a, o, name=name: clean.update({name: out(o).clone()}))
        for name in names
    ]
    model(ids, use_cache=False)
    for hook in hooks:
        hook.remove()

    def corrupt(module: Any, args: Any, output: Tensor) -> Tensor:
        moved = output.clone()
        for place, token in enumerate(prompt.corrupted):
            moved[0, token] += noise[place]
        return moved

    def restore(name: str) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            out(output)[0, job[0]] = clean[name][0, job[0]]

        return hook

    hooks = [model.get_submodule(embedding).register_forward_hook(corrupt)]
    if job is not None:
        hooks += [model.get_submodule(names[i]).register_forward_hook(restore(names[i])) for i in job[1]]
    logits = model(ids, use_cache=False).logits[0, -1]
    for hook in hooks:
        hook.remove()
    return logits.double().softmax(dim=0)[ANSWER]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("kind", "window"), [("hidden", 1), ("mlp", 2), ("attn", 3)])
def test_batched_tracing_is_one_by_one_tracing(family: str, kind: Any, window: int) -> None:
    model, tokenizer = tiny(family)
    modules, prompt = module_map(model), prompt_of(tokenizer)
    options = TraceOptions(kind=kind, window=window, samples=2, row_tokens=100)
    noise = draw_noise(prompt, modules.hidden_size, 0.3, options)
    found = trace(model, modules, prompt, noise, options)
    part = {"hidden": modules.block, "mlp": modules.mlp, "attn": modules.attention}[kind]
    names = [part(layer) for layer in range(modules.layers)]
    with torch.no_grad():
        none = torch.stack([plainly(model, names, modules.embedding, prompt, n, None) for n in noise]).mean()
        assert found.corrupted == pytest.approx(float(none), abs=1e-7)
        for row, token in enumerate(prompt.traced):
            for layer in range(modules.layers):
                job = (token, list(window_round(layer, window, modules.layers)))
                one = torch.stack([plainly(model, names, modules.embedding, prompt, n, job) for n in noise]).mean()
                assert float(found.restored[row, layer]) == pytest.approx(float(one), abs=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_restoring_every_embedding_is_the_clean_run_bit_by_bit(family: str) -> None:
    model, tokenizer = tiny(family)
    modules, prompt = module_map(model), prompt_of(tokenizer)
    noise = draw_noise(prompt, modules.hidden_size, 3.0, TraceOptions(samples=4))
    embedded = model.get_submodule(modules.embedding)(torch.tensor(prompt.ids))
    spoilt = {}

    def there_and_back(output: Tensor) -> Tensor:
        output[:, prompt.corrupted] += noise
        spoilt["yes"] = not torch.equal(output[0], embedded)
        output[:] = embedded
        return output

    clean = probabilities(model, modules, prompt, 4)
    assert torch.equal(probabilities(model, modules, prompt, 4, {modules.embedding: there_and_back}), clean)
    assert spoilt["yes"]


def test_what_must_hold_by_construction() -> None:
    model, tokenizer = tiny("llama")
    modules, prompt = module_map(model), prompt_of(tokenizer)
    options = TraceOptions(samples=3)
    found = trace(model, modules, prompt, draw_noise(prompt, modules.hidden_size, 0.5, options), options)
    # the last token's last block is the answer; another token's last block is read by nobody
    assert float(found.effects[-1, -1]) == pytest.approx(found.clean - found.corrupted, abs=1e-6)
    assert found.effects[:-1, -1].abs().max() < 1e-6
    still = trace(model, modules, prompt, torch.zeros(1, len(prompt.corrupted), modules.hidden_size), options)
    assert still.effects.abs().max() < 1e-6
    assert still.clean == pytest.approx(still.corrupted, abs=1e-7)


def test_noise_is_seeded_by_case_and_has_the_scale_asked_for() -> None:
    model, tokenizer = tiny("gpt2")
    modules, one, other = module_map(model), prompt_of(tokenizer), prompt_of(tokenizer, "2")
    options = TraceOptions(samples=400)
    assert torch.equal(draw_noise(one, 32, 1.0, options), draw_noise(one, 32, 1.0, options))
    assert not torch.equal(draw_noise(one, 32, 1.0, options), draw_noise(other, 32, 1.0, options))
    again = TraceOptions(samples=400, seed=1)
    assert not torch.equal(draw_noise(one, 32, 1.0, options), draw_noise(one, 32, 1.0, again))
    assert float(draw_noise(one, 32, 2.0, options).std()) == pytest.approx(2.0, rel=0.02)
    vectors = model.get_submodule(modules.embedding).weight[[one.ids[i] for i in one.corrupted]]
    assert embedding_spread(model, modules, [one, other]) == pytest.approx(float(vectors.std(correction=0)), rel=1e-5)
    before = torch.get_rng_state()
    first = trace_all(model, modules, [one, other], 0.1, TraceOptions(samples=2))
    alone = trace_all(model, modules, [other], 0.1, TraceOptions(samples=2))
    assert torch.equal(first[1].restored, alone[0].restored)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("layer", "width", "expected"),
    [(0, 1, [0]), (3, 1, [3]), (0, 2, [0]), (2, 2, [1, 2]), (2, 3, [1, 2, 3]), (5, 4, [3, 4, 5])],
)
def test_windows_lie_as_in_the_published_code(layer: int, width: int, expected: list[int]) -> None:
    published = range(max(0, layer - width // 2), min(6, layer - (-width // 2)))
    assert list(window_round(layer, width, 6)) == list(published) == expected


def test_averages_count_a_case_once_per_role() -> None:
    roles = ("first subject token", "middle subject tokens", "middle subject tokens", "last subject token")
    long = TracePrompt("a", "x", (1, 2, 3, 4), roles, 0)  # type: ignore[arg-type]
    short = TracePrompt("b", "y", (1, 2), ("last subject token", "last prompt token"), 0)
    effects = torch.tensor([[0.0, 0.1], [0.2, 0.3], [0.4, 0.5], [0.6, 0.0]], dtype=torch.float64)
    traces = [
        Trace(long, 0.9, 0.1, effects + 0.1),
        Trace(short, 0.8, 0.2, torch.tensor([[0.4, 0.2], [0.2, 0.8]], dtype=torch.float64)),
        Trace(replace(short, case="c"), 0.7, 0.1, torch.tensor([[0.5, 0.1], [0.1, 0.7]], dtype=torch.float64)),
    ]
    found = averages(traces)
    by_role = {row.role: row.layers for row in found.effects}
    assert by_role["middle subject tokens"][0].value == pytest.approx(0.3)
    assert by_role["middle subject tokens"][0].n == 1
    assert by_role["last subject token"][0].value == pytest.approx((0.6 + 0.2 + 0.4) / 3)
    assert by_role["last subject token"][0].n == 3
    assert "further tokens" not in by_role
    assert found.total.value == pytest.approx((0.8 + 0.6 + 0.6) / 3)
    role, layer, mean = found.strongest()
    assert (role, layer, mean.n) == ("last subject token", 0, 3)
