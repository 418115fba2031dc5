"""A plugin that is one file: loaded, run, recorded with its content's hash; what is wrong with it is one line."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.errors import PluginError
from editharness.registry import load_plugins

GUIDE = Path(__file__).parents[1] / "docs" / "extending.md"


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """The method of the guide, word for word, in a file of its own."""
    code = re.search(r"`my_method.py`:\n\n```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    assert code is not None
    path = tmp_path / "my_method.py"
    path.write_text(code[1])
    yield path
    sys.modules.pop("my_method", None)


def test_it_is_known_by_its_file_and_content(plugin: Path) -> None:
    entry = load_plugins(files=[plugin]).methods["mine"]
    digest = hashlib.sha256(plugin.read_bytes()).hexdigest()
    assert (entry.origin.distribution, entry.origin.version) == ("my_method.py", f"sha256:{digest[:12]}")
    assert "mine" not in load_plugins().methods


def test_the_body_of_the_guides_method_is_short(plugin: Path) -> None:
    body = plugin.read_text().split("def edit")[1].split("@hookimpl")[0]
    assert len(body.strip().splitlines()) <= 20


@pytest.mark.slow
def test_the_guides_method_is_checked_and_gets_a_row(plugin: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "mine", "--plugin", str(plugin), "--family", "llama"]) == 0
    assert "mine on llama: 0 findings" in capsys.readouterr().out
    words = ["eval", "--method", "mine", "--task", "synthetic_pocket", "--edits", "3", "--plugin", str(plugin)]
    assert main([*words, "--output", str(plugin.parent / "runs")]) == 0
    assert "mine" in capsys.readouterr().out
    (path,) = (plugin.parent / "runs").glob("*/record.json")
    record = json.loads(path.read_text())
    assert record["method"]["distribution"] == "my_method.py"
    assert record["method"]["version"].startswith("sha256:")
    assert record["command"].endswith(" --plugin my_method.py")
    assert str(plugin.parent) not in path.read_text()
    assert main(["verify", str(path.parent)]) == 0
    out = capsys.readouterr().out
    assert "no plugin here offers 'mine', so " in out
    assert "it was a file, --plugin" in out
    assert main(["verify", str(path.parent), "--plugin", str(plugin)]) == 0
    assert "1 record recomputed: all as written" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("my_broken.py", "x = 1\ny = 1 / 0\n", "my_broken.py, line 2: ZeroDivisionError: division by zero"),
        ("my_syntax.py", "x = 1\ndef f(:\n", "my_syntax.py, line 2: SyntaxError"),
        ("my_empty.py", "x = 1\n", "offers nothing"),
        ("json.py", "x = 1\n", "'json' is a module that is installed; rename the file"),
        ("my-method.py", "x = 1\n", "'my-method' is no name of a module; rename the file"),
        ("my_method.txt", "x = 1\n", "its name must end in .py"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, name: str, text: str, wanted: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PluginError, match=re.escape(wanted)):
        load_plugins(files=[tmp_path / name])
    assert Path(name).stem == "json" or Path(name).stem not in sys.modules or "offers" in wanted


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--plugin", str(tmp_path / "none.py")]) == 2
    assert "cannot be read (No such file or directory)" in capsys.readouterr().err
