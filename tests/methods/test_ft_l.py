"""FT-L: one position for all target tokens, the ball, and what the references count by mistake."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.methods.conftest import change

from editharness.host import LocalHost
from editharness.models.load import load_model, weights_digest
from editharness.patch import apply
from editharness.testing.tiny import save_tiny
from editharness.types import Edit
from editharness_plugins.methods.ft_l import FtL, after_prompt
from editharness_plugins.methods.options.fine_tuning import FtOptions
from editharness_plugins.methods.tuning import copies, running

EDITS = (
    Edit("long", "The official language of Norway is", (25, 31), "English and Italian"),
    Edit("short", "The capital of Spain is", (15, 20), "Rome"),
)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def host(request: Any, tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    folder = save_tiny(request.param, tmp_path_factory.mktemp(request.param))
    return LocalHost(load_model(str(folder), device="cpu"), seed=0)


def losses(host: LocalHost, *edits: Edit) -> torch.Tensor:
    method = FtL(FtOptions(layer=1))
    weights = copies(host.model, method.parameters(host))
    return method.losses(host, running(host.model, weights), host.encode(edits))


def test_all_target_tokens_are_asked_for_at_the_last_prompt_token(host: LocalHost) -> None:
    prompt = host.tokenizer(EDITS[0].prompt, return_tensors="pt").input_ids
    target = host.tokenizer(" English and Italian", add_special_tokens=False).input_ids
    with torch.no_grad():
        logp = host.model(input_ids=prompt).logits[0, -1].log_softmax(dim=-1)
    torch.testing.assert_close(losses(host, EDITS[0])[0], -logp[target].mean())


def test_pads_of_a_shorter_target_are_no_targets(host: LocalHost) -> None:
    """In the references a shorter target of a batch is filled up with the end-of-text token, which is then learnt."""
    together = losses(host, *EDITS)
    torch.testing.assert_close(together[1], losses(host, EDITS[1])[0], rtol=1e-4, atol=1e-5)


def test_bos_and_the_second_space_are_no_targets(host: LocalHost) -> None:
    """EasyEdit encodes the target alone (BOS) and puts a space before it even where there is one."""
    spaced = Edit("spaced", EDITS[1].prompt, EDITS[1].subject, " Rome")
    targets = FtL(FtOptions()).targets(host, host.encode([spaced]))
    found = targets[targets != -100].tolist()
    assert found == host.tokenizer(" Rome", add_special_tokens=False).input_ids
    assert host.tokenizer.bos_token_id not in found


def test_the_model_sees_no_target(host: LocalHost) -> None:
    seen: list[int] = []

    def forward(**inputs: Any) -> Any:
        seen.append(inputs["input_ids"].shape[1])
        return host.model(**inputs)

    after_prompt(forward, host.encode(EDITS[:1]))
    assert seen == [len(host.tokenizer(EDITS[0].prompt).input_ids)]


def test_one_position_cannot_say_several_tokens(host: LocalHost) -> None:
    """The loss of m different tokens stays above log m, so no pass is ever the last before `steps`."""
    options = FtOptions(layer=1, steps=12, lr=0.05)
    step = FtL(options).edit(host, [EDITS[0]], {})
    count = len(set(host.tokenizer(" English and Italian", add_special_tokens=False).input_ids))
    assert step.statuses[0].facts["loss"] > math.log(count)
    assert step.statuses[0].facts["steps"] == 12


def test_the_ball_is_centred_anew_at_every_call(host: LocalHost) -> None:
    method = FtL(FtOptions(layer=1, steps=10, lr=0.01, norm=0.002))
    first = method.edit(host, EDITS[:1], {})
    name = host.modules.down_weight(1)
    with apply(host.model, first.patch):
        second = method.edit(host, EDITS[:1], {})
    assert float(change(first.patch, name).abs().max()) <= 0.002 + 1e-7
    drift = (change(first.patch, name) + change(second.patch, name)).abs().max()
    assert 0.003 < float(drift) <= 0.004 + 1e-6
    assert weights_digest(host.model) == host.loaded.digest
