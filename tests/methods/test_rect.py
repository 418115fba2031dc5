"""RECT: how much of a change is kept, and when it is masked."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.methods.conftest import change

from editharness.errors import EditError
from editharness.locate.batch import drafting
from editharness.locate.options import MemitOptions, RectOptions
from editharness.models.load import weights_digest
from editharness.options import resolve_options
from editharness.patch import Dense, apply
from editharness.presets import load_presets
from editharness_plugins.methods.families.places import PRESETS
from editharness_plugins.methods.memit import Memit
from editharness_plugins.methods.rect import Rect, sparse

QUICK: dict[str, Any] = {"steps": 5, "lr": 0.1, "templates": 0, "layers": (0, 1), "covariance_weight": 0.1}
matrices = st.builds(
    lambda seed, rows, columns: torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(seed)),
    st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9),
)  # fmt: skip


@given(matrices, st.floats(0.0, 1.0), st.booleans())
def test_the_largest_are_kept_and_no_others(pair: torch.Tensor, keep: float, relative: bool) -> None:
    delta, weight = pair
    left = sparse(delta, weight, keep, relative)
    kept = left != 0
    assert torch.equal(left[kept], delta[kept])
    assert keep * delta.numel() <= int(kept.sum()) <= keep * delta.numel() + 2
    score = (delta / weight).abs() if relative else delta.abs()
    if bool(kept.any()) and bool((~kept).any()):
        assert float(score[kept].min()) >= float(score[~kept].max())


@given(matrices, st.booleans())
def test_keeping_all_is_no_op(pair: torch.Tensor, relative: bool) -> None:
    assert torch.equal(sparse(pair[0], pair[1], 1.0, relative), pair[0])


def test_ties_and_weights_of_zero_and_numbers_that_are_none() -> None:
    delta = torch.tensor([1.0, 1.0, 1.0, 0.1, 0.0])
    assert sparse(delta, torch.ones(5), 0.4, relative=True).tolist() == pytest.approx([1.0, 1.0, 1.0, 0.0, 0.0])
    onto_zero = sparse(delta, torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0]), 0.2, relative=True)
    assert onto_zero.tolist() == pytest.approx([1.0, 1.0, 1.0, 0.1, 0.0])  # 0.1 first, then the ones that tie
    broken = sparse(torch.tensor([torch.nan, 1.0, 2.0, 3.0]), torch.ones(4), 0.5, relative=False)
    assert bool(broken.isnan().any())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("score", ["relative", "absolute"])
def test_at_the_end_is_memits_change_masked(tiny_host: Any, facts: Any, family: str, score: Any) -> None:
    host = tiny_host(family)
    whole = Memit(MemitOptions(**QUICK)).edit(host, facts, {})
    step = Rect(RectOptions(keep=0.3, score=score, **QUICK)).edit(host, facts, {})
    assert [s.outcome for s in step.statuses] == ["done"] * len(facts)
    assert step.patch is not None
    assert whole.patch is not None
    for name in host.modules.down_weight(0), host.modules.down_weight(1):
        wanted = sparse(change(whole.patch, name), host.original(name), 0.3, score == "relative")
        torch.testing.assert_close(change(step.patch, name), wanted)
    assert set(step.state) == set(whole.state)
    assert weights_digest(host.model) == host.loaded.digest


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_in_the_loop_later_layers_see_the_mask(tiny_host: Any, facts: Any, family: str) -> None:
    host = tiny_host(family)
    changes = {}
    for when in ("at_end", "in_loop"):
        patch = Rect(RectOptions(keep=0.3, when=when, **QUICK)).edit(host, facts, {}).patch
        assert patch is not None
        changes[when] = [change(patch, host.modules.down_weight(layer)) for layer in (0, 1)]
    torch.testing.assert_close(changes["in_loop"][0], changes["at_end"][0])
    assert not torch.allclose(changes["in_loop"][1], changes["at_end"][1], rtol=0.05)
    assert int((changes["in_loop"][1] != 0).sum()) == pytest.approx(0.3 * changes["in_loop"][1].numel(), abs=2)


def test_relative_to_the_weight_as_it_now_is(tiny_host: Any, facts: Any) -> None:
    host, method = tiny_host("llama"), Rect(RectOptions(keep=0.3, prior=False, **QUICK))
    first = method.edit(host, facts[:2], {}).patch
    name = host.modules.down_weight(1)
    assert first is not None
    with apply(host.model, first):
        second = method.edit(host, facts[2:], {}).patch
        whole = Memit(MemitOptions(prior=False, **QUICK)).edit(host, facts[2:], {}).patch
        current = host.model.get_parameter(name).clone()
    assert second is not None
    assert whole is not None
    assert not torch.equal(current, host.original(name))
    torch.testing.assert_close(change(second, name), sparse(change(whole, name), current, 0.3, relative=True))


def test_a_full_change_that_is_no_number_is_not_written(tiny_host: Any) -> None:
    host = tiny_host("gpt2")
    broken = torch.full((host.modules.hidden_size, host.modules.key_size(1)), torch.nan)
    with pytest.raises(EditError, match="layer 1: the solve gave numbers that are not finite"), drafting(host) as draft:
        draft.write(1, Dense(broken))
    assert weights_digest(host.model) == host.loaded.digest


PUBLISHED = {
    "paper": (0.4, "relative", "at_end", False),
    "sand": (0.6, "absolute", "in_loop", True),
    "alphaedit": (0.4, "relative", "at_end", False),
    "encore": (0.4, "relative", "at_end", True),
}
"""What each source publishes: the part that is kept, the score, when it is masked, the term on earlier edits."""


def test_presets_fit_their_options() -> None:
    """Published values are those of their source; pocket's were swept and need only be valid."""
    found = load_presets(PRESETS / "rect.yaml")
    assert {*PUBLISHED, "pocket"} == {preset.name for preset in found}
    for preset in found:
        options = resolve_options(RectOptions, preset.values, {})
        if preset.name != "pocket":
            assert (options.keep, options.score, options.when, options.prior) == PUBLISHED[preset.name]
