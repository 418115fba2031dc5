"""Listings: every kind in every format, one entry in full, and where its file is."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.cli.catalogue import KINDS, listing, page, path_of
from editharness.cli.common import Table, show_table, words
from editharness.errors import ModelError, PluginError
from editharness.registry import load_plugins

SHOWN = {
    "methods": ("memit", "arXiv 2210.07229"),
    "protocols": ("negation", "arXiv 2510.00625"),
    "tasks": ("negation_pocket_neg", "editharness_negation"),
    "datasets": ("zsre_cloze", "memit.baulab.info"),
    "models": ("pocket", "packaged"),
    "judges": ("openai", "OpenAI-compatible"),
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["table", "json", "markdown"])
def test_every_listing_in_every_format(kind: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([kind, "--format", form]) == 0
    out = capsys.readouterr().out
    for text in SHOWN[kind]:
        assert text in out
    if form == "json":
        rows = json.loads(out)
        assert len({row["name"] for row in rows}) == len(rows)
    if form == "markdown":
        lines = out.splitlines()
        assert lines[1].replace("|", "").replace("-", "").strip() == ""
        assert len({line.count(" | ") for line in lines}) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["table", "json", "markdown"])
def test_every_entry_has_a_page(kind: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = SHOWN[kind][0]
    assert main([kind, name, "--format", form]) == 0
    out = capsys.readouterr().out
    assert name in out
    if form == "json":
        assert json.loads(out)["name"] == name


def test_a_method_shows_its_options_and_presets(capsys: pytest.CaptureFixture[str]) -> None:
    main(["methods", "rome", "--format", "json"])
    shown = json.loads(capsys.readouterr().out)
    options = {row["option"]: row for row in shown["options"]}
    assert options["steps"]["help"]
    assert options["steps"]["limits"] == "1 to 1000"
    assert shown["batch"] == 1
    assert shown["sees"] == ["prompt", "subject", "target"]
    assert any(row["model"] == "gpt2-xl" for row in shown["presets"])


def test_a_protocol_shows_the_tasks_to_type() -> None:
    (table,) = page(load_plugins(), "protocols", "negation").tables
    assert "negation_pocket" in [row[0] for row in table.rows]


def test_every_path_is_there_and_is_the_one_that_is_read() -> None:
    registry = load_plugins()
    for kind in ("methods", "protocols", "tasks", "datasets"):
        for row in listing(registry, kind).rows:
            assert path_of(registry, kind, str(row[0])).is_file(), row[0]
    assert path_of(registry, "protocols", "negation").name == "negation.py"
    assert path_of(registry, "tasks", "negation_pocket_neg").name == "negation_pocket_neg.yaml"
    assert path_of(registry, "datasets", "pocket").name == "pocket.jsonl"


def test_the_path_is_all_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "pocket", "--path"]) == 0
    assert Path(capsys.readouterr().out.rstrip("\n")).is_file()


def test_a_model_that_only_presets_name_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "gpt2-xl"]) == 0
    assert "rome" in capsys.readouterr().out
    assert main(["models", "gpt2-xxl"]) == 2
    assert "unknown model 'gpt2-xxl': did you mean 'gpt2-xl'" in capsys.readouterr().err


def with_model(tmp_path: Path, card: str | None) -> list[EntryPoint]:
    """A distribution that offers the model `mini` in a folder that may hold a card."""
    (tmp_path / "mini_model.py").write_text(
        "from pathlib import Path\n"
        "from editharness import hookimpl\n"
        "from editharness.types import ModelSpec\n"
        "HERE = Path(__file__).parent\n"
        "@hookimpl\n"
        "def register_models(register):\n"
        '    register(ModelSpec("mini", "Mini", HERE / "mini", "MIT", HERE / "card.json"))\n',
        encoding="utf-8",
    )
    info = tmp_path / "mini-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mini\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[editharness]\nmini = mini_model\n", encoding="utf-8")
    if card is not None:
        (tmp_path / "card.json").write_text(card, encoding="utf-8")
    return [entry for dist in distributions(path=[str(tmp_path)]) for entry in dist.entry_points]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mini_model", raising=False)
    yield tmp_path
    sys.modules.pop("mini_model", None)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_models_card_is_its_page(wrapped: bool, on_path: Path) -> None:
    row = {"what": "knows", "wanted": ">= 0.9", "measured": 0.957, "n": 300, "passed": True}
    card = json.dumps({"rows": [row]} if wrapped else [row])
    shown = page(load_plugins(entry_points=with_model(on_path, card)), "models", "mini")
    assert shown.tables[0].rows == [("knows", ">= 0.9", 0.957, 300, True)]


def test_a_model_without_card_or_folder_says_so(on_path: Path) -> None:
    registry = load_plugins(entry_points=with_model(on_path, None))
    assert page(registry, "models", "mini").tables[0].rows == []
    assert "no card" in page(registry, "models", "mini").tables[0].empty
    with pytest.raises(ModelError, match=r"model 'mini' is not in this installation: .* reinstall mini 1\.0"):
        path_of(registry, "models", "mini")
    (on_path / "mini").mkdir()
    assert path_of(registry, "models", "mini") == on_path / "mini"


@pytest.mark.parametrize("card", ["{", "[3]", '[{"what": "x"}]', "{}"])
def test_a_damaged_card_is_one_line(card: str, on_path: Path) -> None:
    registry = load_plugins(entry_points=with_model(on_path, card))
    with pytest.raises(PluginError, match=r"card .*card\.json of model 'mini' cannot be read"):
        page(registry, "models", "mini")


def test_a_terminal_gets_a_fitted_table_and_a_pipe_unbroken_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    long = "a text of sixty characters that no narrow terminal can hold."
    table = Table("x", ("name", "text"), [("[red]one", long)])
    terminal, pipe, dull = Terminal(), io.StringIO(), Terminal()
    show_table(table, "table", terminal)
    show_table(table, "table", pipe)
    assert "\x1b[" in terminal.getvalue()
    assert long not in terminal.getvalue()
    assert "[red]one" in terminal.getvalue()
    assert long in pipe.getvalue()
    assert "\x1b[" not in pipe.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    show_table(table, "table", dull)
    assert "\x1b[3" not in dull.getvalue()


def test_markdown_keeps_its_columns_whatever_a_cell_holds() -> None:
    out = io.StringIO()
    show_table(Table("x", ("a", "b"), [("1|2", ("p", "q"))]), "markdown", out)
    assert out.getvalue().splitlines()[2] == r"| 1\|2 | p, q |"


def test_an_empty_table_says_so() -> None:
    out = io.StringIO()
    show_table(Table("x", ("a",), [], empty="nothing here"), "table", out)
    assert out.getvalue() == "nothing here\n"


def test_cells_in_words() -> None:
    assert [words(v) for v in (None, True, 0.5, 0.9571, 3, ("a", "b"), "x")] == [
        "", "yes", "0.5", "0.957", "3", "a, b", "x",
    ]  # fmt: skip
