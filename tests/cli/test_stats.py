"""`editharness stats`: what is computed or imported there is what a run uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from editharness.cli import main
from editharness.locate.moment_store import MomentStore
from editharness.testing.tiny import TEXT, save_tiny


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "corpus.txt").write_text("\n".join(TEXT), encoding="utf-8")
    return str(save_tiny("llama", tmp_path / "model"))


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> list[list[Any]]:
    capsys.readouterr()
    assert main(["stats", *words, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows: list[list[Any]] = found["rows"] if isinstance(found, dict) else found
    return rows


def test_computed_moments_are_listed_and_made_once(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("compute", "--model", model, "--layers", "0,2", "--corpus", str(tmp_path / "corpus.txt"))
    made = shown(capsys, *words)
    assert len(made) == 2
    assert shown(capsys, "list") == made
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "moments").iterdir()}
    assert shown(capsys, *words) == made
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "moments").iterdir()} == before


def test_parts_that_were_computed_apart_become_the_whole(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("compute", "--model", model, "--layers", "1", "--corpus", str(tmp_path / "corpus.txt"))
    assert shown(capsys, *words, "--part", "2/2") == []
    assert len(shown(capsys, *words, "--part", "1/2")) == 1
    (apart,) = MomentStore(tmp_path / "cache").list()
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "other"))
    shown(capsys, *words)
    (whole,) = MomentStore(tmp_path / "other").list()
    assert (apart.path.name, apart.tokens, apart.provenance) == (whole.path.name, whole.tokens, whole.provenance)
    assert [path.suffix for path in (tmp_path / "cache" / "moments").iterdir()] == [".safetensors"]


@pytest.mark.slow
def test_a_run_uses_imported_moments_and_its_record_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    run = ["eval", "--method", "memit", "--task", "negation_pocket", "--edits", "4", "--schedule", "all"]
    assert main([*run, "--moments", "mit", "--output", str(tmp_path / "none")]) == 2
    assert "stats import FILE.npz --name mit" in capsys.readouterr().err
    files = []
    for layer in (0, 1, 2):
        keys = np.random.default_rng(layer).normal(size=(5000, 640)).astype(np.float32)
        files.append(tmp_path / f"model.layers.{layer}.mlp.down_proj_float32_mom2_5000.npz")
        np.savez(files[-1], **{"mom2.mom2": keys.T @ keys, "mom2.count": 5000})
    assert len(shown(capsys, "import", *map(str, files), "--name", "mit")) == 3
    records = {}
    for name, flags in {"own": [], "mit": ["--moments", "mit"]}.items():
        assert main([*run, *flags, "--output", str(tmp_path / name)]) == 0
        (path,) = (tmp_path / name).glob("*/record.json")
        records[name] = json.loads(path.read_text(encoding="utf-8"))
    assert records["own"]["id"] != records["mit"]["id"]
    assert "--moments mit" in records["mit"]["command"]
    assert sum("imported from model.layers" in note for note in records["mit"]["notes"]) == 3
    assert "moments" not in records["own"]["config"]["resolved"]
    assert main(["verify", str(tmp_path / "mit")]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("compute", "--layers", "a"), "write layers with commas"),
        (("compute", "--layers", "99"), "layers 0 to"),
        (("compute", "--part", "3/2"), "as in 2/4"),
        (("compute", "x.npz"), "takes no files"),
        (("import",), "name the files"),
        (("import", "nowhere.npz"), "does not begin with a module"),
        (("import", "nowhere.npz", "--layer", "0"), "cannot be read"),
        (("import", "a.npz", "b.npz", "--layer", "0"), "goes with one file"),
    ],
)
def test_bad_input_is_one_line(
    model: str, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stats", *words, "--model", model]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1
