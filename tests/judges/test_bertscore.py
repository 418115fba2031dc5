"""The graded judge around an encoder that is trained here, by itself and as `editharness judge` runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.judges.encoders import CITIES, RIVERS, saved, trained
from tests.judging.stored import store_run

from editharness.cli import main
from editharness.errors import JudgeError, ModelError
from editharness.judge import Item
from editharness.judging.battery import assess_graded, battery
from editharness_plugins.bertscore import bertscore
from editharness_plugins.judges.bertscore import Bertscore
from editharness_plugins.judges.options import BertscoreOptions


@pytest.fixture(scope="module")
def encoder() -> tuple[Any, Any]:
    return trained()


def holding(encoder: tuple[Any, Any], **options: Any) -> Bertscore:
    """A judge around an encoder in memory."""
    judge = Bertscore(BertscoreOptions(model="tiny", **options))
    judge.__dict__["_encoder"] = encoder
    return judge


def test_the_score_is_f1_with_the_closest_expected_answer(encoder: tuple[Any, Any]) -> None:
    items = [
        Item("q", CITIES[0], f" {CITIES[0]}"),
        Item("q", CITIES[0], RIVERS[0]),
        Item("q", CITIES[0], RIVERS[0], aliases=(RIVERS[0], "")),
        Item("q", CITIES[0], " "),
        Item("q", " ", CITIES[0]),
    ]
    same, other, alias, empty, nothing = holding(encoder).verdicts(items)
    assert same.score == pytest.approx(1.0, abs=1e-5)
    assert other.score == pytest.approx(max(0.0, bertscore(*encoder, [RIVERS[0]], [CITIES[0]])[0]), abs=1e-5)
    assert alias.score == pytest.approx(1.0, abs=1e-5)
    assert (empty.label, empty.score) == ("graded", 0.0)
    assert (nothing.label, nothing.reason, nothing.score) == ("unscored", "the gold answer is empty", None)


def test_it_passes_the_battery_unless_the_encoder_sees_nothing(encoder: tuple[Any, Any]) -> None:
    probes = battery()
    items = [probe.item for probe in probes]
    assert assess_graded(probes, holding(encoder).verdicts(items)).failed == ""
    model, tokenizer = trained()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)  # all texts look alike
    failed = assess_graded(probes, holding((model, tokenizer)).verdicts(items)).failed
    assert "constant 1.000 on average, not below gold 1.000" in failed
    assert "empty" not in failed


def test_the_identity_is_the_weights_and_the_layer(encoder: tuple[Any, Any], tmp_path: Path) -> None:
    folders = [saved(*encoder, tmp_path / name) for name in "ab"]
    first, second = (Bertscore(BertscoreOptions(model=str(folder))).identity() for folder in folders)
    assert first == second == holding(encoder).identity()
    assert holding(encoder, layer=0).identity() != first


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match=r"has no encoder: give --judge-set bertscore\.model=FOLDER"):
        Bertscore(BertscoreOptions()).identity()
    with pytest.raises(ModelError, match="no encoder for BERTScore in"):
        Bertscore(BertscoreOptions(model=str(tmp_path))).identity()


def test_an_encoder_with_weights_left_out_is_refused(encoder: tuple[Any, Any], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = saved(*encoder, tmp_path / "encoder") / "model.safetensors"
    kept = {name: value for name, value in load_file(weights).items() if "layer.1.output" not in name}
    save_file(kept, weights, {"format": "pt"})
    with pytest.raises(ModelError, match=r"its weights lack encoder\.layer\.1\.output"):
        Bertscore(BertscoreOptions(model=str(tmp_path / "encoder"))).identity()


def test_means_stand_apart_from_shares_and_agree_with_nobody(
    encoder: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    run, folder = store_run(tmp_path / "runs"), saved(*encoder, tmp_path / "encoder")
    words = ["judge", str(run), "--judge", "rules,bertscore", "--judge-set", f"bertscore.model={folder}"]
    assert main([*words, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["judge"] for row in found["judged_answers"]} == {"rules"}
    assert {row["judge"] for row in found["graded_answers"]} == {"bertscore"}
    assert "agreement" not in found
    means = {(row["row"], row["task"]): float(row["score"]) for row in found["graded_answers"]}
    assert means["target", "negation_pocket_pos"] == pytest.approx(100.0)
    assert means["none", "negation_pocket_pos"] < means["rome", "negation_pocket_pos"] < 100
    assert main(words) == 0  # a second time from the cache, as text
    out, _ = capsys.readouterr()
    assert "graded answers" in out
    assert "bootstrap over subjects" in " ".join(out.split())
    assert main([*words, "--judge-set", "bertscore.layer=9"]) == 2
    assert "BERTScore layer 9: the encoder has 2 layers" in capsys.readouterr().err
