"""AdaEdit's filter: truncation, sparsity, and the norms it gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from editharness.host import LocalHost
from editharness.locate.options import AdaEditOptions, PmetOptions
from editharness.models.load import load_model
from editharness.options import resolve_options
from editharness.patch import Dense, LowRank
from editharness.presets import load_presets
from editharness.testing.tiny import TEXT, save_tiny
from editharness.types import Edit
from editharness_plugins.methods import adaedit as adaedit_module
from editharness_plugins.methods.adaedit import AdaEdit, largest, sparsified
from editharness_plugins.methods.pmet import Pmet

SHARE = st.floats(0.05, 1.0)


def change(seed: int, rank: int, rows: int = 12, columns: int = 20) -> LowRank:
    generator = torch.Generator().manual_seed(seed)
    return LowRank(torch.randn(rows, rank, generator=generator), torch.randn(rank, columns, generator=generator))


def full(delta: LowRank | Dense) -> torch.Tensor:
    return delta.delta if isinstance(delta, Dense) else delta.a @ delta.b


@given(st.integers(0, 99), st.integers(1, 8), st.booleans(), st.booleans())
def test_keeping_everything_is_the_identity(seed: int, rank: int, of_rank: bool, dense: bool) -> None:
    given_change = change(seed, rank)
    asked = Dense(full(given_change)) if dense else given_change
    torch.testing.assert_close(full(sparsified(asked, 1.0, 1.0, of_rank)), full(given_change), rtol=1e-4, atol=1e-4)


@given(st.integers(0, 99), SHARE, st.integers(1, 40), st.integers(1, 6))
def test_the_largest_entries_stay_and_the_norm_with_them(seed: int, share: float, rows: int, columns: int) -> None:
    vectors = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    kept = largest(vectors, share)
    torch.testing.assert_close(kept.norm(), vectors.norm())
    count = max(1, int(share * rows + 1e-9))
    for before, after in zip(vectors.T, kept.T, strict=True):
        assert set(after.nonzero()[:, 0].tolist()) == set(before.abs().topk(count).indices.tolist())


@pytest.mark.parametrize(("of_rank", "left"), [(False, 5), (True, 3)])
def test_what_the_share_of_triplets_is_of(of_rank: bool, left: int) -> None:
    """Of 12 rows 0.6 are 7, more than a batch of 5 has; of the rank 5 they are 3, the largest."""
    cut = sparsified(change(0, 5), 0.6, 1.0, of_rank)
    assert isinstance(cut, LowRank)
    assert cut.a.shape[1] == left
    wanted = torch.linalg.svdvals(full(change(0, 5)))[:left]
    torch.testing.assert_close(torch.linalg.svdvals(full(cut))[:left], wanted, rtol=1e-4, atol=1e-4)


def test_no_change_stays_none() -> None:
    nothing = LowRank(torch.zeros(4, 2), torch.zeros(2, 6))
    assert sparsified(nothing, 0.6, 0.6, False) is nothing


def test_it_is_pmet_as_the_sand_preset_has_it(tmp_path: Path) -> None:
    host = LocalHost(load_model(str(save_tiny("llama", tmp_path)), device="cpu"), seed=0, texts=TEXT * 3)
    edits = [Edit("0", "The Eiffel Tower is located in the city of", (4, 16), "Rome")]
    quick: dict[str, Any] = {"steps": 4, "lr": 0.1, "layers": (0, 1), "templates": 1}
    everything = AdaEdit(AdaEditOptions(topr=1.0, topk=1.0, **quick)).edit(host, edits, {}).patch
    base = Pmet(PmetOptions(schedule=False, spread="linear", bound="block", **quick)).edit(host, edits, {}).patch
    sparse = AdaEdit(AdaEditOptions(**quick)).edit(host, edits, {}).patch
    for name in base.deltas:  # type: ignore[union-attr]
        wanted, filtered = full(base.deltas[name]), full(sparse.deltas[name])  # type: ignore[union-attr, index]
        torch.testing.assert_close(full(everything.deltas[name]), wanted, rtol=1e-3, atol=1e-6)  # type: ignore[union-attr]
        assert float((filtered - wanted).norm()) > 0.05 * float(wanted.norm())
        assert 0.3 < float((filtered != 0).float().mean()) < 0.4  # 0.6 of the rows times 0.6 of the columns


def test_presets_fit_their_options() -> None:
    found = load_presets(Path(adaedit_module.__file__).parent / "presets" / "adaedit.yaml")
    assert {"sand", "pocket"} == {preset.name for preset in found}
    for preset in found:
        options = resolve_options(AdaEditOptions, preset.values, {})
        assert (options.topr, options.topk, options.spread) == (0.6, 0.6, "linear")
