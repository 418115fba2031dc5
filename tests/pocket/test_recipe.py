"""The recipe is seeded, and goes on from its checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def train(out: Path, steps: int, *more: str) -> None:
    # small batches in float32: bfloat16 takes minutes where the processor has none
    quick = ["--threads", "1", "--rows", "4", "--precision", "float32"]
    words = ["--out", str(out), "--steps", str(steps), *quick, *more]
    done = subprocess.run(
        [sys.executable, "-m", "editharness_plugins.pocket.recipe", *words],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_a_run_can_be_resumed(tmp_path: Path) -> None:
    train(tmp_path / "whole", 4)
    train(tmp_path / "again", 4)
    weights = (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert weights == (tmp_path / "again" / "model.safetensors").read_bytes()
    # the learning rate depends on how many steps there will be, so these weights are others
    train(tmp_path / "part", 2)
    train(tmp_path / "part", 4, "--resume")
    spent = json.loads((tmp_path / "part" / "training.json").read_text(encoding="utf-8"))
    assert spent["steps"] == 4
    assert spent["seed"] == 1
    # a finished model can be trained on, with fresh optimizers
    train(tmp_path / "on", 2, "--start", str(tmp_path / "whole"))
    assert (tmp_path / "on" / "model.safetensors").read_bytes() != weights
    assert (tmp_path / "on" / "tokenizer.json").read_bytes() == (tmp_path / "whole" / "tokenizer.json").read_bytes()
    # or taught to converse, in the precision and with the optimizer at which any processor is quick
    train(
        tmp_path / "chat",
        2,
        "--chat",
        "--start",
        str(tmp_path / "whole"),
        "--optimizer",
        "adamw",
        "--precision",
        "float32",
    )
    assert (tmp_path / "chat" / "chat_template.jinja").is_file()
    spent = json.loads((tmp_path / "chat" / "training.json").read_text(encoding="utf-8"))
    assert {"chat.yaml", "chat_template.jinja", "model.safetensors", "pocket.jsonl"} <= set(spent["data"])
    shapes = [json.loads((tmp_path / name / "config.json").read_text(encoding="utf-8")) for name in ("whole", "chat")]
    assert shapes[0]["vocab_size"] == shapes[1]["vocab_size"]
