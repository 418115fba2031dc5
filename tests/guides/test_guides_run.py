"""Every command and every block of code of README, CONTRIBUTING and docs runs in a test, or says why it does not."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.guides.pages import (
    BY_THEMSELVES,
    NOT_RUN,
    PAGES,
    PYTHON,
    PYTHON_BY,
    ROOT,
    SHELL,
    SHOWN,
    SMALLER,
    blocks,
    commands,
    run_here,
    smaller,
    why_not,
)
from tests.guides.workplace import furnish
from tests.judges.chat_server import serving

from editharness.cli import COMMANDS, main, parser_of
from editharness.judge import Item

SERVER = "http://127.0.0.1:8000/v1"


def everything() -> list[str]:
    return [command for page in PAGES for command in commands(page)]


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_code_begins_a_line(page: str) -> None:
    assert len(re.findall(r"^\s*```", PAGES[page], re.M)) == 2 * len(blocks(page)), "a block within a list is not seen"


def test_every_block_of_code_is_of_a_known_kind() -> None:
    kinds = {(block.page, block.language) for page in PAGES for block in blocks(page)}
    unknown = {pair for pair in kinds if pair[1] not in (*SHELL, *PYTHON, *SHOWN)}
    assert not unknown, "give the block a language: console or python, which a test runs, or one of SHOWN"


def test_every_block_of_python_is_run_by_a_test_that_names_its_page() -> None:
    pages = {block.page for page in PAGES for block in blocks(page) if block.language in PYTHON}
    tests = {page: {**BY_THEMSELVES, **PYTHON_BY}.get(page) for page in pages}
    assert None not in tests.values(), tests
    for page, test in tests.items():
        assert Path(page).name in (ROOT / str(test)).read_text(encoding="utf-8"), (page, test)


def test_every_command_is_run_or_says_why_not() -> None:
    assert len(everything()) >= 100
    pages = {page for page in PAGES if commands(page)}
    alone = {page for page in pages if page in BY_THEMSELVES}
    left_out = {page for page in pages - alone if all(map(why_not, commands(page)))}
    assert pages == alone | left_out | set(run_here())
    assert left_out <= {"docs/complement.md", "docs/pocket.md", "docs/pocket_chat.md"}


@pytest.mark.parametrize("part", [*NOT_RUN, *SMALLER])
def test_no_mark_is_left_behind(part: str) -> None:
    assert any(part in command for command in everything()), f"no guide has {part!r} any longer"


@pytest.mark.slow
@pytest.mark.parametrize("page", list(run_here()))
def test_the_commands_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name, folder in {"EDITHARNESS_CACHE": "cache", "HF_HOME": "hf"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    furnish(tmp_path, boards="leaderboards/" in "".join(commands(page)))
    with serving() as seen:
        for command in commands(page):
            if not why_not(command):
                label(tmp_path / "labels.csv")
                typed(smaller(command).replace(SERVER, seen.url).replace("model=NAME", "model=m"))
    shutil.rmtree(tmp_path / "leaderboards", ignore_errors=True)  # pytest keeps folders


def label(path: Path) -> None:
    """Do as a person does between two commands of docs/judges.md: fill in the first label of what was exported."""
    if path.is_file():
        head, first, rest = path.read_text(encoding="utf-8").split("\n", 2)
        filled = first if first.endswith("correct") else f"{first}correct"
        path.write_text("\n".join([head, filled, rest]), encoding="utf-8")


def typed(command: str) -> None:
    """Run a command: ours in this process, where it needs no shell."""
    if command.startswith("editharness ") and not any(mark in command for mark in ("$", " lm-eval ", "|")):
        assert main(shlex.split(command)[1:]) == 0, command
        return
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, (command, done.stderr[-2000:])


def test_the_judge_of_the_guide_judges() -> None:
    """docs/judges.md: the class that it shows."""
    (block,) = (block for block in blocks("docs/judges.md") if block.language in PYTHON)
    space: dict[str, Any] = {"__name__": "guide"}
    exec(compile(block.text, "judges.md", "exec"), space)  # the guide's own text is what is tested
    right, wrong = Item("Where is it?", "Rome", "Rome"), Item("Where is it?", "Rome", "rome")
    assert [verdict.label for verdict in space["Verbatim"](None).verdicts([right, wrong])] == ["correct", "incorrect"]


INLINE = re.compile(r"`editharness ([a-z-]+)((?: [^`]*)?)`")


@pytest.mark.parametrize("page", PAGES)
def test_commands_within_a_sentence_exist(page: str) -> None:
    """They are often cut short (`editharness verify RUN`): the command and its options must be there."""
    for name, rest in INLINE.findall(re.sub(r"^```.*?^```", "", PAGES[page], flags=re.M | re.S)):
        if name in ("--help", "--version"):
            continue
        assert name in COMMANDS, (page, name)
        flags = set(re.findall(r"(?<!\S)--[a-z_-]+", rest)) if name != "lm-eval" else set()
        known = parser_of(name, importlib.import_module(COMMANDS[name].module)).format_help()
        assert all(flag in known for flag in flags), (page, name, flags)
