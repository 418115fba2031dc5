from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.errors import MethodError
from editharness.locate.collecting import Sums, collect, joined
from editharness.locate.moment_store import MomentStore, corpus_digest
from editharness.locate.moments import Moments
from editharness.locate.solve import solve
from editharness.models.capture import capture
from editharness.models.modules import module_map
from editharness.models.spans import encode_text
from editharness.testing.tiny import TEXT


@pytest.mark.parametrize("family", ["llama", "gpt2", "gptj"])
def test_one_pass_over_chunks_is_the_mean_over_every_token(made: Callable[..., Any], family: str) -> None:
    model, tokenizer = made(family)
    modules = module_map(model)
    ours = collect(model, modules, tokenizer, TEXT, [0, 2], max_length=12, budget=30).moments()
    for layer in (0, 2):
        keys = []
        for text in TEXT:
            ids = torch.tensor([encode_text(tokenizer, text)[0][:12]])
            with torch.no_grad(), capture(model, {modules.down_projection(layer): "input"}) as seen:
                model(input_ids=ids)
            keys.append(seen[modules.down_projection(layer)][0].double())
        every = torch.cat(keys)
        assert ours[layer].tokens == len(every)
        torch.testing.assert_close(ours[layer].c, every.mT @ every / len(every), rtol=1e-5, atol=1e-6)


def test_no_texts_is_one_line(made: Callable[..., Any]) -> None:
    model, tokenizer = made("llama")
    with pytest.raises(MethodError, match="second moments need texts"):
        collect(model, module_map(model), tokenizer, [], [0]).moments()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_factor_and_null_basis(seed: int, weight: float) -> None:
    samples = torch.randn(6, 40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    moments = Moments(samples @ samples.mT / 40, 40)
    space = moments.cholesky(weight, floor=0.0)
    torch.testing.assert_close(space.weight * space.lower @ space.lower.mT, weight * moments.c)
    assert moments.cholesky(1.0, floor=0.0).lower is space.lower
    values = torch.linalg.eigvalsh(moments.c)
    threshold = float((values[2] + values[3]) / 2)
    basis = moments.null_basis(threshold)
    assert basis.shape == (6, 3)
    torch.testing.assert_close(basis.mT @ basis, torch.eye(3, dtype=torch.float64))
    assert bool(((basis.mT @ moments.c @ basis).diagonal() < threshold).all())


def test_fewer_tokens_than_dimensions_still_factor() -> None:
    one = torch.ones(4, 1, dtype=torch.float64)
    assert bool(Moments(one @ one.mT, 1).cholesky().lower.isfinite().all())
    with pytest.raises(MethodError, match="not positive"):
        Moments(torch.zeros(4, 4, dtype=torch.float64), 0).factor()
    with pytest.raises(MethodError, match="above 0"):
        Moments(torch.eye(4, dtype=torch.float64), 9).cholesky(0.0)


def test_a_direction_that_no_text_uses_has_the_floor() -> None:
    c = torch.diag(torch.tensor([2.0, 1.0, 1.0, 1e-30], dtype=torch.float64))
    key = torch.tensor([[1.0], [0.0], [0.0], [1e-6]], dtype=torch.float64)
    change = {floor: solve(Moments(c, 9).cholesky(1.0, floor), key, torch.ones(1, 1)) for floor in (0.0, 1e-8, 1e-2)}
    size = {floor: float((low.a @ low.b).abs().max()) for floor, low in change.items()}
    assert size[0.0] > 1e3 > size[1e-8] > 1 > size[1e-2]
    moments = Moments(c, 9)
    lower = moments.factor(1e-2)
    torch.testing.assert_close(lower @ lower.mT, c + 1e-2 * torch.eye(4, dtype=torch.float64))
    assert moments.factor(1e-2) is lower
    assert moments.factor(0.0) is not lower


def test_rounding_below_zero_raises_the_floor() -> None:
    c = torch.diag(torch.tensor([1.0, 1.0, -1e-7], dtype=torch.float64))
    assert bool(Moments(c, 9).factor(0.0).isfinite().all())
    with pytest.raises(MethodError, match="not positive"):
        Moments(-c, 9).factor()


def test_store_keeps_the_bits_under_their_provenance(made: Callable[..., Any], tmp_path: Path) -> None:
    model, tokenizer = made("llama")
    fresh = collect(model, module_map(model), tokenizer, TEXT, [1]).moments()[1]
    store, facts = MomentStore(tmp_path), {"model": "a", "layer": 1}
    store.save(Moments(fresh.c, fresh.tokens, facts))
    back = store.load(facts)
    assert back is not None
    assert torch.equal(back.c, fresh.c)
    assert (back.tokens, back.provenance) == (fresh.tokens, facts)
    assert store.load({"model": "a", "layer": 2}) is None
    path = store.path(facts)
    assert path is not None
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    path.write_bytes(path.read_bytes()[:-9])
    assert store.load(facts) is None
    assert MomentStore(None).load(facts) is None


def test_the_corpus_digest_sees_order_and_borders() -> None:
    assert corpus_digest(["ab", "c"]) != corpus_digest(["a", "bc"])
    assert corpus_digest(["a", "b"]) != corpus_digest(["b", "a"])
    assert corpus_digest(["a", "b"]) == corpus_digest(("a", "b"))


def test_an_interrupted_pass_goes_on_to_the_same_bits(made: Callable[..., Any]) -> None:
    model, tokenizer = made("llama")
    kept: list[Sums] = []
    whole = collect(model, module_map(model), tokenizer, TEXT, [0, 1], block=2, keep=kept.append)
    assert [sums.documents for sums in kept] == [2, 4, 6]
    again = collect(model, module_map(model), tokenizer, TEXT, [0, 1], block=2, start=kept[0])
    assert (again.tokens, again.documents) == (whole.tokens, whole.documents)
    for layer in (0, 1):
        assert torch.equal(again.totals[layer], whole.totals[layer])


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_the_parts_of_a_corpus_add_up_to_the_whole(made: Callable[..., Any], cut: int) -> None:
    model, tokenizer = made("gpt2")
    whole, first, rest = (
        collect(model, module_map(model), tokenizer, texts, [1]) for texts in (TEXT, TEXT[:cut], TEXT[cut:])
    )
    both = joined([first, rest])
    assert (both.tokens, both.documents) == (whole.tokens, whole.documents)
    torch.testing.assert_close(both.moments()[1].c, whole.moments()[1].c, rtol=1e-6, atol=1e-7)


def test_unfinished_sums_lie_beside_the_moments_until_they_are_done(made: Callable[..., Any], tmp_path: Path) -> None:
    model, tokenizer = made("llama")
    store, named = MomentStore(tmp_path), [{"model": "a", "layer": 1}]
    sums = collect(model, module_map(model), tokenizer, TEXT[:3], [1])
    store.save_sums(sums, named, "1/2")
    back = store.load_sums(named, "1/2")
    assert back is not None
    assert torch.equal(back.totals[1], sums.totals[1])
    assert (back.tokens, back.documents) == (sums.tokens, 3)
    assert store.load_sums(named) is None
    assert store.load_sums(named, "2/2") is None
    assert list(store.list()) == []
    store.drop_sums(named, "1/2")
    assert store.load_sums(named, "1/2") is None
