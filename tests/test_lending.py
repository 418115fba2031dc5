"""Runs that share a model and its unedited answers make the records that they make alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from editharness.cli import main

EVAL = ["eval", "--task", "negation_pocket", "--edits", "4", "--schedule", "batch:2"]


def made(folder: Path) -> dict[str, tuple[object, ...]]:
    """Method -> all of its record that does not tell time, and its samples."""
    found = {}
    for path in folder.glob("*/record.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        samples = gzip.decompress((path.parent / "samples.jsonl.gz").read_bytes())
        kept = (record["id"], record["rows"], record["statuses"], record["model"])
        found[record["method"]["name"]] = (*kept, samples, (path.parent / "scores.jsonl").read_bytes())
    return found


@pytest.mark.slow
def test_methods_of_one_command_make_the_records_of_several(tmp_path: Path) -> None:
    methods = ("memit", "grace", "ft-m")
    assert main([*EVAL, "--method", ",".join(methods), "--output", str(tmp_path / "one")]) == 0
    for method in methods:
        assert main([*EVAL, "--method", method, "--output", str(tmp_path / "each")]) == 0
    one, each = made(tmp_path / "one"), made(tmp_path / "each")
    assert set(one) == set(methods)
    assert one == each
    loading = {
        record["method"]["name"]: record["cost"]["seconds_by_phase"]["model"]
        for record in (json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.glob("one/*/record.json"))
    }
    assert loading["ft-m"] < loading["memit"], "the model is loaded once"
