"""`editharness trace` and `geometry` as typed: files, tables, and one clear line for what cannot be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from editharness.cli import main
from editharness.testing.tiny import save_tiny


def typed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(list(words))
    out = capsys.readouterr()
    return status, out.out, out.err


@pytest.mark.slow
def test_on_pocket_the_last_subject_token_decides_in_early_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("trace", "--cases", "12", "--samples", "4", "--output", str(tmp_path), "--format", "json")
    status, out, _ = typed(capsys, *words)
    assert status == 0
    shown = json.loads(out)
    assert shown["strongest_before_the_end"].startswith("last subject token")
    kept = json.loads((tmp_path / "trace-pocket-pocket-hidden.json").read_text())
    assert len(kept["cases"]) == 12
    rows = {row["role"]: [cell["value"] for cell in row["layers"]] for row in kept["means"]["effects"]}
    total = kept["means"]["total"]["value"]
    assert total > 0.4
    assert min(rows["last subject token"][:3]) > 0.8 * total
    assert max(rows["last prompt token"][:3]) < 0.1 * total
    assert rows["last prompt token"][-1] == pytest.approx(total, abs=1e-4)
    ET.fromstring((tmp_path / "trace-pocket-pocket-hidden.svg").read_text())
    assert typed(capsys, *words)[0] == 0
    assert json.loads((tmp_path / "trace-pocket-pocket-hidden.json").read_text()) == kept


@pytest.mark.slow
def test_an_edited_model_is_traced_at_its_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for schedule in ("all", "single"):
        words = ("--method", "memit", "--edits", "4", "--schedule", schedule, "--kind", "mlp", "--window", "3")
        status, out, err = typed(capsys, "trace", "--cases", "3", "--samples", "2", "--output", str(tmp_path), *words)
        assert status == 0, err
        assert "after memit" in out
        kept = json.loads((tmp_path / "trace-pocket-pocket-mlp-memit.json").read_text())
        assert kept["edited"]["schedule"] == schedule
        assert kept["means"]["clean"]["value"] > 0.5


@pytest.mark.slow
def test_geometry_writes_a_plot_and_all_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = typed(capsys, "geometry", "--cases", "4", "--output", str(tmp_path), "--format", "markdown")
    assert status == 0
    assert "| m1, m2 | cosine |" in out
    kept = json.loads((tmp_path / "geometry-pocket-pocket-layer2-mlp.json").read_text())
    assert {len(points) for points in kept["projections"]["PCA"].values()} == {2, 4}  # two shares, four cases
    marks = [e for e in ET.fromstring((tmp_path / "geometry-pocket-pocket-layer2-mlp.svg").read_text()).iter()
             if "point" in (e.get("class") or "")]  # fmt: skip
    assert len(marks) == 3 + 2 * 3 * 4


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("trace", "--data", "poket"), "unknown data set 'poket': did you mean 'pocket'?"),
        (("trace", "--data", "mcf=nowhere.json"), "--data mcf=nowhere.json: no such file"),
        (("trace", "--model", "pockt"), "did you mean 'pocket'?"),
        (("trace", "--noise", "0"), "'0': a number above 0, for example 3"),
        (("trace", "--noise", "nan"), "'nan': a number above 0"),
        (("trace", "--cases", "0"), "a whole number from 1"),
        (("trace", "--window", "3"), "--window 3: a hidden state is restored alone; use --kind mlp or --kind attn"),
        (("trace", "--kind", "ml"), "invalid choice"),
        (("trace", "--edits", "3"), "--edits needs --method NAME"),
        (("trace", "--method", "memt"), "did you mean 'memit'?"),
        (("trace", "--method", "grace"), "method 'grace' changes modules: trace looks into edited weights only"),
        (("trace", "--method", "memit", "--set", "stepz=1"), "unknown option 'stepz': did you mean 'steps'?"),
        (("trace", "--method", "memit", "--edits", "2", "--cases", "5"), "only 2 facts are written"),
        (("trace", "--method", "memit", "--edits", "99999"), "--edits 99999: data set 'pocket' has only"),
        (("geometry", "--layer", "6"), "layer 6: the model has layers 0 to 5"),
        (("geometry", "--layer", "-1"), "a whole number from 0"),
        (("geometry", "--cases", "1"), "two at least"),
        (("geometry", "--preset", "papr"), "unknown preset 'papr': did you mean 'paper'?"),
        (("geometry", "--set", "steps=0"), "option steps=0 is out of range"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_line(
    words: tuple[str, ...], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = typed(capsys, *words, "--output", str(tmp_path))
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert line in err
    assert list(tmp_path.iterdir()) == []


def mcf(path: Path, old: str) -> Path:
    """Two facts in CounterFact's flat schema."""
    asked = {"locality_prompt": "The capital of Japan is", "locality_ground_truth": "Tokyo", "target_new": "Rome"}
    records: list[dict[str, Any]] = [
        {
            "case_id": i,
            "prompt": f"The capital of {name} is",
            "subject": name,
            "ground_truth": old,
            "rephrase_prompt": f"In {name}, the capital is",
            **asked,
        }
        for i, name in enumerate(("Kenya", "Peru"))
    ]
    path.write_text(json.dumps(records))
    return path


def test_more_cases_than_there_are_and_none_with_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = ("--data", f"mcf={mcf(tmp_path / 'facts.json', 'Oslo')}", "--output", str(tmp_path / "out"))
    status, _, err = typed(capsys, "trace", *facts)
    assert status == 2
    assert "no case that the model answers with the old answer (2 answered otherwise by the model)" in err
    status, _, err = typed(capsys, "geometry", "--cases", "40", *facts)
    assert status == 2
    assert "--cases 40: only" in err or "no case that the unedited model answers differently" in err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_model_without_a_map_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModelForCausalLM, OPTConfig

    from editharness.models.load import quiet

    folder = save_tiny("gpt2", tmp_path / "opt")
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink()
    config = OPTConfig(hidden_size=16, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=16)
    with quiet():
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    for command in ("trace", "geometry"):
        status, _, err = typed(capsys, command, "--model", str(folder), "--output", str(tmp_path / "out"))
        assert status == 2
        assert "model type 'opt' is not supported: use Llama, Qwen2" in err
        assert err.count("\n") == 1


def test_an_output_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    status, _, err = typed(capsys, "trace", "--output", str(blocked))
    assert status == 2
    assert "cannot be written" in err
