"""NAMET: where the noise puts the searched vector, and that without it it is MEMIT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from editharness.errors import OptionError
from editharness.host import LocalHost
from editharness.locate.options import MemitOptions, NametOptions
from editharness.locate.rows import aligned, unshifted
from editharness.locate.templates import VARIED
from editharness.models.capture import replaced
from editharness.models.load import load_model
from editharness.models.spans import IGNORED, Prompts, essence_prompts
from editharness.options import resolve_options
from editharness.patch import LowRank, WeightPatch
from editharness.presets import load_presets
from editharness.testing.tiny import TEXT, save_tiny
from editharness.types import Edit
from editharness_plugins.methods import namet as namet_module
from editharness_plugins.methods.memit import Memit
from editharness_plugins.methods.namet import Namet

FACTS = (
    ("The Eiffel Tower is located in the city of", "Eiffel Tower", "Rome"),
    ("The official language of Norway is", "Norway", "French"),
    ("Danielle Darrieux's mother tongue is", "Danielle Darrieux", "English and Italian"),
)
EDITS = [
    Edit(str(i), prompt, (prompt.index(subject), prompt.index(subject) + len(subject)), target)
    for i, (prompt, subject, target) in enumerate(FACTS)
]
CONTEXTS = ("{}", "The first of these, it is said. {}", "Because of this. {}", "It is what it is here. {}")
QUICK: dict[str, Any] = {"steps": 5, "lr": 0.1, "layers": (0, 1)}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> LocalHost:
    folder = save_tiny("llama", tmp_path_factory.mktemp("llama"))
    return LocalHost(load_model(str(folder), device="cpu"), seed=0, texts=TEXT * 3)


def full(patch: Any, name: str) -> Tensor:
    assert isinstance(patch, WeightPatch)
    delta = patch.deltas[name]
    assert isinstance(delta, LowRank)
    return delta.a @ delta.b


def rows(lengths: list[int], lasts: list[int], edit: list[int]) -> Prompts:
    mask = torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
    ids = torch.ones_like(mask, dtype=torch.long)
    of = torch.tensor(edit)
    none = torch.full_like(ids, IGNORED)
    return Prompts(ids, mask, torch.tensor(lengths), torch.tensor(lasts), none, of, of)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 29)), min_size=1, max_size=6), st.integers(1, 9))
def test_the_formula_of_the_places(made: list[tuple[int, int]], essence: int) -> None:
    """p = t − (T_max − len) over an edit's own rows: the longest row has no noise, and other edits do not matter."""
    pairs = [(length, min(last, length - 1)) for length, last in made]
    lengths, lasts = [length for length, _ in pairs], [last for _, last in pairs]
    alone = unshifted(rows(lengths, lasts, [0] * len(pairs)), rows([essence], [0], [0])).tolist()
    longest = max([*lengths, essence])
    assert alone == [last - (longest - length) for length, last in pairs] + [essence - longest]
    beside = unshifted(
        rows([*lengths, 50], [*lasts, 3], [0] * len(pairs) + [1]), rows([essence, 2], [0, 0], [0, 1])
    ).tolist()
    assert beside[: len(pairs)] == alone[:-1]
    assert beside[len(pairs)] == 3


def test_the_noise_is_what_left_padding_does(host: LocalHost) -> None:
    """Rows padded on the left for real, the vector at the unshifted column, against ours at p_j without padding."""
    edit = EDITS[:1]
    prompts, essence = host.encode(edit, CONTEXTS), essence_prompts(host.tokenizer, edit)
    entry = unshifted(prompts, essence).tolist()[: len(prompts)]
    assert any(p < t for p, t in zip(entry, prompts.subject_last.tolist(), strict=True))
    delta = torch.full((host.modules.hidden_size,), 0.5)
    lengths = prompts.mask.sum(dim=1).tolist()
    width = max(*lengths, int(essence.mask.sum()))
    for row, (length, place) in enumerate(zip(lengths, entry, strict=True)):
        ids, shift = prompts.ids[row : row + 1, :length], width - length
        padded = torch.nn.functional.pad(ids, (shift, 0))
        mask = torch.arange(width)[None, :] >= shift
        position = (torch.arange(width)[None, :] - shift).clamp(min=0)
        left = logits(host, padded, delta, int(prompts.subject_last[row]), attention_mask=mask, position_ids=position)
        ours = logits(host, ids, delta if place >= 0 else 0 * delta, max(place, 0))
        torch.testing.assert_close(left[0, shift:], ours[0], rtol=1e-3, atol=1e-4)


def logits(host: LocalHost, ids: Tensor, delta: Tensor, place: int, **inputs: Tensor) -> Tensor:
    def add(output: Tensor) -> Tensor:
        output[0, place] += delta
        return output

    with torch.no_grad(), replaced(host.model, host.modules.block(1), add):
        out: Tensor = host.model(input_ids=ids, use_cache=False, **inputs).logits
    return out


def test_targets_are_recorded_where_the_vector_enters(host: LocalHost) -> None:
    """With one pass δ is 0: the value is the block's output at p_j, mean over contexts, the bare prompt left out."""
    method = Namet(NametOptions(templates=3, template_length=4, **{**QUICK, "steps": 1}))
    contexts = method.contexts(host)
    found = method.values(host, EDITS)
    prompts, essence = host.encode(EDITS, contexts), essence_prompts(host.tokenizer, EDITS)
    entry = unshifted(prompts, essence)[: len(prompts)]
    out = host.model(input_ids=prompts.ids, attention_mask=prompts.mask, output_hidden_states=True).hidden_states[2]
    at = out[torch.arange(len(prompts)), entry.clamp(min=0)].reshape(len(EDITS), len(contexts), -1)
    assert bool((entry.reshape(len(EDITS), -1)[:, 1:] >= 0).all())
    torch.testing.assert_close(found.target, at[:, 1:].mean(dim=1), rtol=1e-3, atol=1e-4)


def test_rows_that_are_all_padding_there_are_left_alone(host: LocalHost) -> None:
    prompts, essence = host.encode(EDITS[:1], CONTEXTS), essence_prompts(host.tokenizer, EDITS[:1])
    made = aligned(prompts, essence, entry=torch.tensor([-1, 3, 2, -2, -4]))
    assert made.entered.tolist() == [False, True, True, False, False]
    assert made.contexts().tolist() == [False, True, True, False, False]
    lonely = aligned(prompts, essence, entry=torch.tensor([-1, -3, -2, -2, -4]))
    assert lonely.contexts().tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("templates", [0, 3])
def test_an_edit_alone_is_the_edit_in_any_batch(host: LocalHost, templates: int) -> None:
    method = Namet(NametOptions(templates=templates, **QUICK))
    together = method.values(host, EDITS).target
    for index, edit in enumerate(EDITS):
        torch.testing.assert_close(method.values(host, [edit]).target[0], together[index], rtol=1e-3, atol=2e-4)


def test_without_noise_it_is_memit(host: LocalHost) -> None:
    shared: dict[str, Any] = {**QUICK, "templates": 2, "loss_stop": 0.05}
    ours = Namet(NametOptions(noise=False, layer_weights=(2.0, 2.0), **shared)).edit(host, EDITS, {})
    theirs = Memit(MemitOptions(covariance_weight=2.0, **shared)).edit(host, EDITS, {})
    noisy = Namet(NametOptions(layer_weights=(2.0, 2.0), **shared)).edit(host, EDITS, {})
    for name in (host.modules.down_weight(layer) for layer in QUICK["layers"]):
        assert torch.equal(full(ours.patch, name), full(theirs.patch, name))
        assert not torch.allclose(full(noisy.patch, name), full(theirs.patch, name), rtol=0.1)


def test_every_layer_has_its_weight(host: LocalHost) -> None:
    sizes = {}
    for weights in ((1.0, 1.0), (1e6, 1.0)):
        patch = Namet(NametOptions(templates=2, layer_weights=weights, **QUICK)).edit(host, EDITS, {}).patch
        sizes[weights] = [float(full(patch, host.modules.down_weight(layer)).norm()) for layer in (0, 1)]
    assert sizes[1e6, 1.0][0] < 0.01 * sizes[1.0, 1.0][0]
    with pytest.raises(OptionError, match="one each"):
        resolve_options(NametOptions, {"layers": [0, 1], "layer_weights": [1.0]}, {})


def test_contexts_are_its_own(host: LocalHost) -> None:
    method = Namet(NametOptions(**QUICK))
    bare, *sampled = method.contexts(host)
    assert bare == "{}"
    assert [text.startswith(starter) for text, starter in zip(sampled, VARIED.starters, strict=True)] == [True] * 12


def test_presets_fit_their_options() -> None:
    found = load_presets(Path(namet_module.__file__).parent / "presets" / "namet.yaml")
    assert {"paper", "sand", "pocket"} == {preset.name for preset in found}
    for preset in found:
        options = resolve_options(NametOptions, preset.values, {})
        assert options.noise == (preset.name != "sand")
