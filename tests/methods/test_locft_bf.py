"""LocFT-BF: the end of text is a target, passes are shuffled, and only the chosen place is tuned."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from editharness.errors import MethodError
from editharness.host import LocalHost
from editharness.models.load import load_model
from editharness.testing.tiny import save_tiny
from editharness.types import Edit
from editharness_plugins.methods.locft_bf import LocFtBf, with_end
from editharness_plugins.methods.options.fine_tuning import LocFtOptions
from editharness_plugins.methods.tuning import copies, running

EDITS = (
    Edit("long", "The official language of Norway is", (25, 31), "English and Italian"),
    Edit("short", "The capital of Spain is", (15, 20), "Rome"),
    Edit("other", "Tōkyō is a city in", (0, 5), "Europe"),
)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def host(request: Any, tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    folder = save_tiny(request.param, tmp_path_factory.mktemp(request.param), layers=12, hidden=16)
    return LocalHost(load_model(str(folder), device="cpu"), seed=0)


def test_the_end_of_text_follows_the_target(host: LocalHost) -> None:
    end = host.tokenizer.eos_token_id
    rows = with_end(host.encode(EDITS), end)
    for row, edit in enumerate(EDITS):
        text = host.tokenizer(f"{edit.prompt} {edit.target}").input_ids
        assert rows.ids[row][rows.mask[row]].tolist() == text
        asked = rows.labels[row][rows.labels[row] != -100].tolist()
        assert asked == [*text[int(rows.lengths[row]) :], end]
        assert int(rows.labels[row, len(text) - 1]) == end


def test_the_loss_is_the_mean_over_target_and_end(host: LocalHost) -> None:
    method = LocFtBf(LocFtOptions(layer=1))
    weights = copies(host.model, method.parameters(host))
    found = method.losses(host, running(host.model, weights), method.rows(host, EDITS))
    text = host.tokenizer(f"{EDITS[1].prompt} {EDITS[1].target}", return_tensors="pt").input_ids
    start = len(host.tokenizer(EDITS[1].prompt).input_ids)
    with torch.no_grad():
        logp = host.model(input_ids=text).logits[0].log_softmax(dim=-1)
    wanted = torch.tensor([*text[0, start:].tolist(), host.tokenizer.eos_token_id])
    picked = logp[start - 1 :].gather(1, wanted[:, None])
    torch.testing.assert_close(found[1], -picked.mean(), rtol=1e-4, atol=1e-5)


def test_no_token_is_added_to_the_vocabulary(host: LocalHost) -> None:
    """The published code adds a pad token and resizes the embeddings; pads are masked here."""
    before = len(host.tokenizer), host.model.get_input_embeddings().weight.shape
    LocFtBf(LocFtOptions(layer=1, steps=2)).edit(host, EDITS, {})
    assert (len(host.tokenizer), host.model.get_input_embeddings().weight.shape) == before


def test_a_whole_block_is_taken_by_module_not_by_the_start_of_its_name(host: LocalHost) -> None:
    """The published template "model.layers.1" is looked for anywhere in a name: it would hold layers 10 and 11 too."""
    tuned = LocFtBf(LocFtOptions(layer=1, tuned="block")).parameters(host)
    assert len(tuned) > 2
    assert all(name.startswith(f"{host.modules.block(1)}.") for name in tuned)
    step = LocFtBf(LocFtOptions(layer=1, tuned="block", steps=2)).edit(host, EDITS, {})
    assert set(step.patch.deltas) == set(tuned)


def test_every_pass_has_an_order_of_its_own_from_the_runs_generator(host: LocalHost) -> None:
    method = LocFtBf(LocFtOptions())
    host.reseed("one")
    first = [method.order(host, 20) for _ in range(2)]
    host.reseed("one")
    assert [method.order(host, 20) for _ in range(2)] == first
    assert first[0] != first[1]
    assert sorted(first[0]) == list(range(20))


def test_breadth_first_lowers_the_loss_of_all_edits(host: LocalHost) -> None:
    def method(steps: int) -> LocFtBf:
        return LocFtBf(LocFtOptions(layer=8, steps=steps, lr=0.01, batch_size=2))

    early, late = (method(steps).edit(host, EDITS, {}) for steps in (1, 10))
    for one, other in zip(early.statuses, late.statuses, strict=True):
        assert other.facts["loss"] < one.facts["loss"]


def test_a_tokenizer_without_an_end(host: LocalHost) -> None:
    kept, host.tokenizer.eos_token = host.tokenizer.eos_token, None
    try:
        with pytest.raises(MethodError, match="append_eos=false"):
            LocFtBf(LocFtOptions(layer=1)).edit(host, EDITS, {})
        step = LocFtBf(LocFtOptions(layer=1, steps=1, append_eos=False)).edit(host, EDITS, {})
        assert step.patch is not None
    finally:
        host.tokenizer.eos_token = kept
