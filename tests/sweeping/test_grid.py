"""A sweep's file into its cells; and every way in which it can be wrong, with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from editharness.errors import EditHarnessError
from editharness.registry import load_plugins
from editharness.sweeping.checking import DataHere, check_cell, check_names
from editharness.sweeping.grid import SweepCell, read_cells, read_file
from editharness.types import Schedule

ROOT = Path(__file__).parents[2]
SWEEPS = sorted((ROOT / "sweeps").rglob("*.yaml"))
GRID = """\
defaults:
  task: negation_pocket
  edits: 4
  schedule: batch:2
grid:
  method: [memit, rome]
  seed: [0, 1]
"""


def cells_of(folder: Path, text: str) -> tuple[list[SweepCell], list[str]]:
    path = folder / "grid.yaml"
    path.write_text(text, encoding="utf-8")
    return read_cells(read_file(path), load_plugins(), folder / "runs")


def fault(folder: Path, text: str, *, offline: bool = False) -> str:
    """What is said of a file that is wrong: one line that begins with the file."""
    registry = load_plugins()

    def read() -> None:
        for cell in cells_of(folder, text)[0]:
            check_names(cell, registry)
            check_cell(cell, registry, DataHere(registry), offline=offline)

    with pytest.raises(EditHarnessError) as caught:
        read()
    told = str(caught.value)
    assert "\n" not in told
    assert told.startswith(f"{folder / 'grid.yaml'}")
    return told.removeprefix(f"{folder / 'grid.yaml'}")


def test_a_grid_is_every_combination_over_the_defaults(tmp_path: Path) -> None:
    cells, left = cells_of(tmp_path, GRID)
    assert [(cell.config.method, cell.config.seed) for cell in cells] == [
        ("memit", 0), ("memit", 1), ("rome", 0), ("rome", 1),
    ]  # fmt: skip
    assert not left
    assert {(cell.config.edits, cell.config.schedule, cell.line) for cell in cells} == {(4, Schedule(2, True), 6)}
    assert cells[0].config.passed == {
        "task": "negation_pocket", "edits": 4, "schedule": "batch:2", "method": "memit", "seed": 0,
    }  # fmt: skip
    assert len({cell.id for cell in cells}) == 4


def test_include_adds_and_exclude_takes_away(tmp_path: Path) -> None:
    exclude = "exclude:\n  - {method: rome, seed: [1, 2]}\n"
    include = "include:\n  - {method: ft-m, options: {steps: 3, layers: [0, 1]}}\n"
    cells, _ = cells_of(tmp_path, GRID + exclude + include)
    assert [(c.config.method, c.config.seed) for c in cells] == [("memit", 0), ("memit", 1), ("rome", 0), ("ft-m", 0)]
    assert cells[-1].config.settings == {"steps": "3", "layers": "0,1"}
    assert cells[-1].line == 11


def test_a_cell_that_is_named_twice_is_one(tmp_path: Path) -> None:
    cells, _ = cells_of(tmp_path, GRID + "include:\n  - {method: memit, seed: 0}\n")
    assert len(cells) == 4


def test_options_vary_as_whole_mappings_and_take_every_kind_of_value(tmp_path: Path) -> None:
    text = GRID.replace("[memit, rome]", "memit").replace("seed: [0, 1]", "options: [{}, {prior: false, lr: 0.5}]")
    cells, _ = cells_of(tmp_path, text)
    assert [dict(cell.config.settings) for cell in cells] == [{}, {"prior": "false", "lr": "0.5"}]


def test_all_methods_are_those_of_eval(tmp_path: Path) -> None:
    cells, _ = cells_of(tmp_path, GRID.replace("[memit, rome]", "all").replace("seed: [0, 1]", "seed: 0"))
    assert len(cells) == len(load_plugins().methods) - 2


def test_a_batch_larger_than_all_edits_is_left_out_where_these_vary(tmp_path: Path) -> None:
    text = GRID.replace("seed: [0, 1]", "schedule: [batch:2, batch:8]\n  edits: [4, 8]")
    cells, left = cells_of(tmp_path, text)
    assert len(cells) == 6
    assert left == [f"{tmp_path / 'grid.yaml'}: left out: batch:8 with 4 edits"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("grid: [", ", line 1: no YAML: "),
        ("- a\n", ", line 1: is no sweep"),
        ("", ", line 1: is no sweep"),
        ("defaults: {}\n", ", line 1: is no sweep"),
        (GRID + "gird: 1\n", ", line 8, field 'gird': unknown key 'gird': did you mean 'grid'?"),
        (GRID + "grid: 1\n", ", line 8, field 'grid': is given twice"),
        (GRID.replace("memit,", "memti,"), ", line 6, field 'method': unknown method 'memti': did you mean 'memit'?"),
        (GRID.replace("_pocket", "_poket"), ", line 2, field 'task': unknown task 'negation_poket': did you mean"),
        (GRID.replace("method:", "methods:"), ", line 6, field 'methods': unknown field 'methods': did you mean"),
        (GRID.replace("batch:2", "bacth:2"), ", line 4, field 'schedule': schedule 'bacth:2': use single"),
        (GRID.replace("edits: 4", "edits: 0"), ", line 3, field 'edits': 0 is no whole number from 1"),
        (GRID.replace("edits: 4", "edits: [4]"), ", line 3, field 'edits': several values belong in `grid:`"),
        (GRID.replace("edits: 4", "edits: 99999"), ", line 3, field 'edits': --edits 99999: data set 'pocket'"),
        (GRID.replace("[0, 1]", "[0, one]"), ", line 7, field 'seed': 'one' is no whole number from 0"),
        (GRID.replace("[0, 1]", "[]"), ", line 7, field 'seed': has no value"),
        (GRID + "  model: poket\n", ", line 8, field 'model': unknown model 'poket': did you mean 'pocket'?"),
        (GRID + "  model: ./nowhere\n", ", line 8, field 'model': model folder './nowhere' does not exist"),
        (GRID + "  preset: papre\n", ", line 8, field 'preset': unknown preset 'papre': did you mean 'paper'?"),
        (GRID + "  options: {setps: 1}\n", ", line 8, field 'options': unknown option 'setps'"),
        (GRID + "  options: {steps: many}\n", ", line 8, field 'options': "),
        (GRID + "  options: {steps: {a: 1}}\n", ", line 8, field 'options': {'a': 1} is no value of an option"),
        (GRID + "  dtype: float23\n", ", line 8, field 'dtype': unknown dtype 'float23': did you mean 'float32'?"),
        (GRID + "  data: {poket: x}\n", ", line 8, field 'data': unknown data set 'poket'"),
        (GRID + "  data: {pocket: no.jsonl}\n", ", line 8, field 'data': --data pocket=no.jsonl: no such file"),
        (GRID + "  train: no.jsonl\n", ", line 8, field 'train': no.jsonl: no such file"),
        (GRID + "  limit: 5\n", ", line 8, field 'limit': 5: only 4 facts are written"),
        (GRID + "  checkpoints: [3]\n", ", line 8, field 'checkpoints': "),
        (GRID + "  stop_on_collapse: 1\n", ", line 8, field 'stop_on_collapse': 1 is neither true nor false"),
        (GRID + "exclude:\n  - {method: grace}\n", ", line 9, field 'exclude': no cell of the grid is like this"),
        (GRID + "exclude: memit\n", ", line 8, field 'exclude': is no list"),
        (GRID + "include:\n  - memit\n", ", line 9, field 'include': 'memit' is no mapping"),
        (GRID + "exclude:\n  - {edits: 4}\n", ", line 5, field 'grid': no cell is left"),
        (GRID.replace("  method: [memit, rome]\n", ""), ", line 5, field 'grid': a cell has no 'method'"),
        (GRID + "plugins: mine.py\n", ", line 8, field 'plugins': is no list of files"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_its_place(text: str, told: str, tmp_path: Path) -> None:
    assert fault(tmp_path, text).startswith(told)


def test_a_grid_that_is_too_large_is_refused(tmp_path: Path) -> None:
    text = GRID.replace("[0, 1]", f"[{', '.join(map(str, range(6000)))}]")
    assert "12000 cells: a sweep has at most 10000" in fault(tmp_path, text)


def test_without_a_network_data_and_models_must_be_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    away = fault(tmp_path, GRID + "  model: nobody/nothing\n", offline=True)
    assert away.startswith(", line 8, field 'model': model 'nobody/nothing' is not on this machine")
    away = fault(tmp_path, GRID.replace("_pocket", "_mcf").replace("edits: 4", "edits: 5"), offline=True)
    assert "data set 'mcf' is not on this machine" in away


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path, told in ((tmp_path / "no.yaml", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(EditHarnessError, match=told):
            read_file(path)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.name)
def test_the_sweeps_of_this_repository_name_what_exists(path: Path, tmp_path: Path) -> None:
    registry = load_plugins()
    data = DataHere(registry)
    file = read_file(path)
    assert {"title", "note"} <= file.top.keys()
    cells, left = read_cells(file, registry, tmp_path)
    assert not left
    for cell in cells:
        check_names(cell, registry)
        check_cell(cell, registry, data, offline=False)
    assert file.resources.get("gpus", 0) == (path.parent.name == "full")
