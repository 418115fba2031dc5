"""The code of docs/python.md, adapters.md, export.md and sweeps.md, run block by block as a reader would type it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import editharness as eh
from editharness.cli import main
from editharness.sweeping.fields import FIELDS

ROOT = Path(__file__).parents[1]
POCKET = Path(eh.__file__).parents[2] / "plugins" / "editharness_plugins" / "pocket" / "model"
BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<language>\w+)\n(?P<text>.*?)^```", re.M | re.S)


def blocks(page: str) -> list[tuple[str, str]]:
    """(file name or "", text) of every block; a file is named by the last words before its block."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        named = re.search(r"`([\w.]+)`:$", match["before"])
        found.append((named[1] if named else "", match["text"]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("page", "count"), [("python.md", 4), ("adapters.md", 3)], ids=["python", "adapters"])
def test_the_code_of_a_guide_runs(
    page: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "pocket-model").symlink_to(POCKET)
    space: dict[str, object] = {"__name__": "guide"}
    assert len(blocks(page)) == count
    for name, text in blocks(page):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
        else:
            exec(compile(text, page, "exec"), space)  # the guide's own text is what is tested
    shown = capsys.readouterr().out
    assert "negation · data pocket · model pocket" in shown
    sys.modules.pop("their_code", None)


@pytest.mark.slow
def test_the_export_guide_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    text = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    space: dict[str, object] = {"__name__": "guide"}
    found = [(match["language"], match["text"]) for match in BLOCK.finditer(text)]
    assert [language for language, _ in found].count("console") == 6
    for language, block in found:
        if language == "jsonl":
            (tmp_path / "facts.jsonl").write_text(block, encoding="utf-8")
        elif language == "python":
            exec(compile(block, "export.md", "exec"), space)  # the guide's own text is what is tested
        else:
            for line in block.splitlines():
                typed(line)
    out = capsys.readouterr().out
    assert "facts.jsonl: 2 records, all in order" in out
    assert "rank 2, exact" in out
    assert "unpatched: pocket (float32) as it was, weights a09f5ccc3287" in out
    assert "## Scores" in (tmp_path / "scored" / "README.md").read_text()


@pytest.mark.slow
def test_the_guide_to_sweeps_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    found = {match["language"]: match["text"] for match in BLOCK.finditer(text)}
    (tmp_path / "grid.yaml").write_text(found["yaml"], encoding="utf-8")
    boards = []
    for line in found["console"].splitlines():
        typed(line.partition("#")[0].rstrip())
        out, err = capsys.readouterr()
        boards.append(out)
        assert "sweep" not in line or "4 cells: " in err
    assert boards[0].startswith("line ")
    assert boards[0].count("to make") == 4
    assert boards[1] == boards[2] == boards[3]
    assert boards[1].startswith("negation · data pocket · model pocket")
    assert all(name in text for name in FIELDS)


def typed(line: str) -> None:
    """Run a line of a console: ours in this process, others' in a shell."""
    if line.startswith("editharness "):
        assert main(shlex.split(line)[1:]) == 0, line
        return
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
