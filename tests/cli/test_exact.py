"""`eval --exact`: what batching does to a number, seen by a run that batches nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.cli import main


@pytest.mark.slow
@pytest.mark.parametrize("task", ["negation_pocket", "wild_pocket"])
def test_the_board_is_the_same_without_any_batching(tmp_path: Path, task: str) -> None:
    rows, values = {}, {}
    for name, flags in {"fast": [], "exact": ["--exact"]}.items():
        words = ["eval", "--method", "memit", "--task", task, "--edits", "6", "--schedule", "single"]
        assert main([*words, "--output", str(tmp_path / name), *flags]) == 0
        (path,) = (tmp_path / name).glob("*/record.json")
        record = json.loads(path.read_text(encoding="utf-8"))
        rows[name], values[name] = record["rows"], record["method"]["options"]["row_tokens"]
        if flags:
            assert record["config"]["resolved"]["batch_size"] == 1
            assert "--batch-size 1" in record["command"]
            assert main(["verify", str(tmp_path / name)]) == 0
    assert values == {"fast": 1024, "exact": 1}
    fast, exact = (
        {(row["row"], column["name"]): column["value"] for row in rows[name] for column in row["columns"]}
        for name in ("fast", "exact")
    )
    assert fast == pytest.approx(exact, abs=1e-4)
