"""KN: integrated gradients add up, and what the published ports get wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.methods.conftest import change

from editharness.errors import EditError, MethodError
from editharness.host import LocalHost
from editharness.models.capture import replaced
from editharness.models.load import load_model, weights_digest
from editharness.models.modules import to_math
from editharness.testing.tiny import save_tiny
from editharness.types import Edit
from editharness_plugins.methods.kn import Kn, answer, each_token
from editharness_plugins.methods.options.fine_tuning import KnOptions

EDIT = Edit("0", "The capital of Spain is", (15, 20), "Rome", old="Madrid")


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def host(request: Any, tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    folder = save_tiny(request.param, tmp_path_factory.mktemp(request.param))
    return LocalHost(load_model(str(folder), device="cpu"), seed=0)


def ids(host: LocalHost, text: str) -> list[int]:
    found: list[int] = host.tokenizer(text, add_special_tokens=False).input_ids
    return found


def test_attributions_add_up_to_what_the_layer_does(host: LocalHost) -> None:
    """Integrated gradients are complete: over a layer they sum to P(all neurons) − P(none)."""
    prompts = each_token(host.encode([Edit("0", EDIT.prompt, EDIT.subject, "Madrid")]))
    name = host.modules.projection(1, "gate")
    found = Kn(KnOptions(steps=400, row_limit=100)).attribution_of(host, 1, prompts)

    def probabilities() -> torch.Tensor:
        logits = host.model(input_ids=prompts.ids, attention_mask=prompts.mask).logits.softmax(dim=-1)
        last = prompts.lengths - 1
        row = torch.arange(len(prompts))
        return logits[row, last, prompts.labels[row, last]]

    def silence(output: torch.Tensor) -> torch.Tensor:
        output[torch.arange(len(prompts)), prompts.lengths - 1] = 0
        return output

    with torch.no_grad():
        full = probabilities()
        with replaced(host.model, name, silence):
            none = probabilities()
    torch.testing.assert_close(found.sum(dim=1), full - none, rtol=2e-2, atol=2e-5)


def test_one_step_is_the_gradient_at_the_activation(host: LocalHost) -> None:
    """The ports' linspace(0, 1, 1) is the zero activation alone, whatever the model computes."""
    prompts = each_token(host.encode([Edit("0", EDIT.prompt, EDIT.subject, "Madrid")]))
    one, many = (Kn(KnOptions(steps=steps)).attribution_of(host, 2, prompts) for steps in (1, 50))
    assert float(one.abs().max()) > 0
    assert not torch.allclose(one, many, rtol=1e-3)


def test_each_token_of_the_old_answer_is_asked_for_after_those_before_it(host: LocalHost) -> None:
    rows = each_token(host.encode([Edit("0", EDIT.prompt, EDIT.subject, "Madrid")]))
    wanted = ids(host, " Madrid")
    assert len(wanted) > 1
    prompt = host.tokenizer(EDIT.prompt).input_ids
    for row, token in enumerate(wanted):
        assert rows.ids[row][rows.mask[row]].tolist() == [*prompt, *wanted[:row]]
        assert rows.labels[row][rows.labels[row] != -100].tolist() == [token]
        assert int(rows.labels[row, int(rows.lengths[row]) - 1]) == token


@pytest.mark.parametrize("target", ["Rome", "English and Italian"])
def test_what_is_written_is_the_difference_of_the_embeddings(host: LocalHost, target: str) -> None:
    """No BOS among the tokens, the target not looked up as one word, the same factor for one token and several."""
    edit = Edit("0", EDIT.prompt, EDIT.subject, target, old="Madrid")
    embedding = host.model.get_input_embeddings().weight
    wanted = ids(host, f" {target}")
    shift = embedding[wanted].sum(dim=0) - embedding[answer(host, edit, len(wanted))].sum(dim=0)
    torch.testing.assert_close(Kn(KnOptions()).shift(host, edit), shift)
    step = Kn(KnOptions(steps=4, strength=2.0)).edit(host, [edit], {})
    for name in step.patch.deltas:
        delta = to_math(change(step.patch, name), host.modules.transposed(0))
        columns = delta[:, delta.abs().sum(dim=0) > 0]
        torch.testing.assert_close(columns, (2 * shift)[:, None].expand_as(columns))


def test_the_models_answer_is_greedy(host: LocalHost) -> None:
    prompt = host.tokenizer(EDIT.prompt, return_tensors="pt").input_ids
    with torch.no_grad():
        wanted = host.model.generate(prompt, max_new_tokens=3, min_new_tokens=3, do_sample=False, pad_token_id=0)
    first = wanted[0, prompt.shape[1] :].tolist()[0]
    assert answer(host, EDIT, 3)[0] == first


def test_neurons_above_the_threshold_are_rewritten(host: LocalHost) -> None:
    method = Kn(KnOptions(steps=4, threshold=0.3))
    scores = method.attribution(host, EDIT)
    step = method.edit(host, [EDIT], {})
    assert step.statuses[0].facts["neurons"] == int((scores > 0.3 * scores.max()).sum())
    written = sum(
        int((to_math(change(step.patch, name), host.modules.transposed(0)).abs().sum(dim=0) > 0).sum())
        for name in step.patch.deltas
    )
    assert written == step.statuses[0].facts["neurons"]
    assert weights_digest(host.model) == host.loaded.digest


def test_rows_per_pass_do_not_matter(host: LocalHost) -> None:
    few, many = (Kn(KnOptions(steps=7, row_limit=limit)).attribution(host, EDIT) for limit in (2, 64))
    torch.testing.assert_close(few, many, rtol=1e-3, atol=1e-8)


def test_without_an_old_answer_there_are_no_neurons(host: LocalHost) -> None:
    for old in (None, ""):
        with pytest.raises(EditError, match="old answer"):
            Kn(KnOptions()).edit(host, [Edit("0", EDIT.prompt, EDIT.subject, "Rome", old=old)], {})


def test_kn_takes_one_edit(host: LocalHost) -> None:
    with pytest.raises(MethodError, match="one edit at a time"):
        Kn(KnOptions()).edit(host, [EDIT, EDIT], {})
