"""The code of docs/python.md and docs/adapters.md, run block by block as a reader would type it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import editharness as eh

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
