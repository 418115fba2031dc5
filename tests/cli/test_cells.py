"""The grid of `editharness eval`: what is typed, what is left out, what is refused; and a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editharness.cli import main
from editharness.cli.cells import Cell, cells, parse_edits, parse_schedules
from editharness.errors import UsageError
from editharness.testing.tiny import save_tiny
from editharness.types import Schedule

PLACES = ["Kenya", "Peru", "Norway", "Chad", "Fiji", "Cuba", "Mali", "Oman"]
NAMES = ["Rome", "Oslo", "Lima", "Bern", "Suva", "Doha", "Kyiv", "Riga"]


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=6))
def test_numbers_of_edits_are_read_in_order_and_once(numbers: list[int]) -> None:
    assert parse_edits(",".join(map(str, numbers))) == tuple(sorted(set(numbers)))


@pytest.mark.parametrize("text", ["", "0", "-1", "10,", "10,,20", "1e3", "ten", "10;20", "٣", "9" * 5000, "10000001"])
def test_what_is_no_number_of_edits_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no whole number from 1"):
        parse_edits(text)


@pytest.mark.parametrize("text", ["", "batch:10,", "batch:0", "batch:1,bach:10", "batch:1;batch:2"])
def test_a_malformed_part_of_the_schedules_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"--schedule '.*': use single, fresh:K"):
        parse_schedules(text)


def test_batches_larger_than_all_edits_are_left_out_with_a_note() -> None:
    kept, left = cells(parse_schedules("sequential,batch:10,all"), (5, 10))
    assert [(str(cell.schedule), cell.edits) for cell in kept] == [
        ("sequential", 5), ("sequential", 10), ("batch:10", 10), ("all", 5), ("all", 10),
    ]  # fmt: skip
    assert left == ["left out: batch:10 with 5 edits"]
    assert cells([Schedule(100, carry=True)], (50,)) == ([Cell(Schedule(100, carry=True), 50)], [])
    with pytest.raises(UsageError, match="every schedule's batch is larger"):
        cells([Schedule(100, carry=True)], (5, 10))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_tiny("llama", folder)
    (folder / "corpus.txt").write_text("\n".join(f"The capital of {p} is {n}." for p, n in zip(PLACES, NAMES)))  # noqa: B905
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "cf.json"
    records = [
        {
            "case_id": i, "prompt": f"The capital of {place} is", "subject": place, "target_new": NAMES[(i + 3) % 8],
            "ground_truth": NAMES[i], "rephrase_prompt": f"In {place}, the capital is",
            "locality_prompt": "The capital of Japan is", "locality_ground_truth": "Tokyo",
        }
        for i, place in enumerate(PLACES)
    ]  # fmt: skip
    path.write_text(json.dumps(records))
    return path


def evaluate(model: Path, data: Path, out: Path, *more: str) -> int:
    words = ["eval", "--task", "sequential_mcf", "--data", f"mcf={data}", "--model", str(model), "--output", str(out)]
    return main([*words, *more])


def records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(out.glob("*/record.json"))]


@pytest.mark.slow
def test_a_grid_runs_every_cell_and_shows_one_table_per_method(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    more = ["--method", "ft-m", "--schedule", "batch:2,batch:4", "--edits", "2,4", "--set", "steps=2"]
    assert evaluate(model, data, out, *more) == 0
    told = capsys.readouterr()
    assert "left out: batch:4 with 2 edits" in told.err
    assert "batch size" in told.out
    assert told.err.count("record: ") == 3
    assert sorted((r["schedule"]["asked"], r["schedule"]["edits"]) for r in records(out)) == [
        ("batch:2", 2), ("batch:2", 4), ("batch:4", 4),
    ]  # fmt: skip
    assert main(["leaderboard", str(out), "--grid"]) == 0
    assert capsys.readouterr().out == told.out  # the same from records alone
    assert main(["verify", str(out), "--data", f"mcf={data}"]) == 0
    assert main(["leaderboard", str(out), "--grid", "finnal"]) == 2
    assert "did you mean 'final'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_with_checkpoints_shows_its_series_and_draws_them(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    more = ["--method", "ft-m,c-rome", "--schedule", "batch:2", "--edits", "4", "--checkpoints", "2,4"]
    assert evaluate(model, data, out, *more) == 0
    told = capsys.readouterr().out
    for word in ("retention of ft-m", "retention of c-rome", "text loss", "facts 1-2", "2 edits"):
        assert word in told
    record = records(out)[0]
    (row,) = [row for row in record["rows"] if row["kind"] == "method"]
    series = {one["name"]: one["points"] for one in row["series"]}
    assert [point["edits"] for point in series["text loss"]] == [0, 2, 4]
    assert [(point["edits"], point["cohort"]) for point in series["retention"]] == [
        (2, [1, 2]),
        (4, [1, 2]),
        (4, [3, 4]),
    ]
    assert record["health"]["texts"] == 8
    assert main(["verify", str(out), "--data", f"mcf={data}"]) == 0
    capsys.readouterr()
    assert main(["leaderboard", str(out), "--plots", str(tmp_path / "plots")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(list((tmp_path / "plots").glob("*.svg"))) >= 5


def test_without_a_corpus_there_is_no_text_loss_and_no_early_end(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    bare = tmp_path / "bare"
    save_tiny("llama", bare)
    more = ["--method", "ft-m", "--edits", "2", "--schedule", "batch:2", "--set", "steps=1"]
    assert evaluate(bare, data, tmp_path / "runs", *more) == 0
    assert records(tmp_path / "runs")[0]["health"] is None
    capsys.readouterr()
    assert evaluate(bare, data, tmp_path / "more", *more, "--stop-on-collapse") == 2
    assert "--stop-on-collapse needs ordinary text: pass --corpus FILE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--edits", "4,x"], "--edits 4,x: 'x' is no whole number"),
        (["--schedule", "batch:2,bach:4"], "--schedule 'bach:4': use single"),
        (["--edits", "4,8", "--schedule", "batch:4", "--checkpoints", "8"], "--checkpoints 8: only 4 facts"),
        (["--edits", "4", "--schedule", "batch:4", "--checkpoints", "2"], "no batch ends there"),
        (["--edits", "4", "--checkpoints", ""], "write numbers of edits with commas"),
        (["--edits", "4", "--schedule", "single", "--checkpoints", "4"], "no edit builds on another"),
        (["--edits", "4", "--schedule", "single", "--stop-on-collapse"], "no edit builds on another"),
        (["--edits", "2,4", "--limit", "3", "--schedule", "sequential"], "--limit 3: only 2 facts"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_is_said_before_the_model_is_looked_for(
    words: list[str], said: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path / "no model", data, tmp_path / "runs", "--method", "memit", *words) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()
