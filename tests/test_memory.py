"""The estimate against what real runs need, and what is made of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.memory import Sizes, estimate, rows_within
from editharness.testing.tiny import FAMILIES, tiny

LLAMA = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256,
}  # fmt: skip
EVAL = ["eval", "--method", "memit", "--task", "negation_pocket", "--edits", "2", "--schedule", "all"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_tells_its_sizes(family: str) -> None:
    model, _ = tiny(family)
    sizes = Sizes.of(model.config.to_dict())
    assert sizes is not None
    assert (sizes.hidden, sizes.layers, sizes.vocabulary) == (32, 3, model.config.vocab_size)
    assert sizes.inner == 128 or sizes.inner == 96
    assert Sizes.of({"hidden_size": 5}) is None


def test_parts_grow_with_what_they_hold() -> None:
    sizes = Sizes.of(LLAMA)
    assert sizes is not None
    few, many = (estimate(sizes, 16 * 10**9, 2, range(4, 9), rows, moments=True) for rows in (8, 64))
    assert few.moments == many.moments == 5 * 14336**2 * 16
    assert many.batch == 8 * few.batch
    none = estimate(sizes, 16 * 10**9, 2, (), 8, moments=False)
    assert none.moments == none.edited == 0
    assert 30e9 < many.total < 50e9


def test_rows_are_halved_until_they_fit() -> None:
    sizes = Sizes.of(LLAMA)
    assert sizes is not None
    given = {"sizes": sizes, "weights": 16 * 10**9, "bytes_each": 2, "layers": (), "moments": False}
    assert rows_within(10**12, 64, **given) == 64  # type: ignore[arg-type]
    found = rows_within(17 * 10**9, 64, **given)  # type: ignore[arg-type]
    assert 0 < found < 64
    assert estimate(rows=found, **given).total <= 17 * 10**9  # type: ignore[arg-type]
    assert rows_within(10**9, 64, **given) == 0  # type: ignore[arg-type]


def test_a_budget_that_nothing_fits_is_refused_before_anything_is_loaded(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*EVAL, "--memory", "100MB"]) == 2
    error = capsys.readouterr().err
    assert "needs more even for one row at a time (base 550.0 MB" in error
    assert main([*EVAL, "--memory", "lots"]) == 2
    assert "as in 8GB" in capsys.readouterr().err
    assert main([*EVAL, "--method", "none", "--memory", "600MB", "--dry-run"]) == 0
    assert "rows at once, not 64" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_needs_about_what_was_estimated(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "editharness", *EVAL, "--output", str(tmp_path)]
    plan = json.loads(subprocess.run([*words, "--dry-run", "--format", "json"], capture_output=True, check=True).stdout)
    told = float(str(plan[0]["memory"]).split()[1]) * 1e6
    subprocess.run(words, capture_output=True, check=True)
    (path,) = tmp_path.glob("*/record.json")
    peak = json.loads(path.read_text(encoding="utf-8"))["cost"]["peak_memory_bytes"]
    assert told / 1.6 < peak < told * 1.6
