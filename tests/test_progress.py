"""Progress: a bar with the time that remains where somebody looks on, lines when asked for, else nothing."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from argparse import Namespace
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from editharness.cli import main
from editharness.cli.common import complain, loudness, notice
from editharness.progress import LOUDNESS, Lines, Live, Silent, live


def test_a_terminal_gets_a_bar_that_tells_the_remaining_time() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=120, color_system=None)
    with live(console=console) as report:
        assert isinstance(report, Live)
        report.stage("asking", 50)
        report.advance(20)
        report.progress.refresh()
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "asking" in shown
    assert "20/50" in shown
    assert re.search(r"left: (\d|-)", shown)


def test_a_pipe_gets_nothing_and_verbose_a_line_per_stage() -> None:
    console = Console(file=StringIO(), force_terminal=False)
    with live(console=console) as silent:
        assert isinstance(silent, Silent)
    token = LOUDNESS.set("verbose")
    try:
        with live(console=console) as report:
            assert isinstance(report, Lines)
            report.stage("asking [all]", 50)
    finally:
        LOUDNESS.reset(token)
    assert re.fullmatch(r" +0\.\d s  asking \[all\] \(50\)\n", console.file.getvalue())  # type: ignore[attr-defined]


def test_quiet_keeps_notices_back_but_no_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet, expected in ((False, "told\nwrong\n"), (True, "wrong\n")):
        with loudness(Namespace(quiet=quiet, verbose=False, passed={"quiet": True})):
            notice("told")
            complain("wrong")
        assert capsys.readouterr().err == expected
    assert main(["methods", "--quiet", "--verbose"]) == 2
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize("no_color", [False, True], ids=["colour", "NO_COLOR"])
def test_the_bar_has_colours_unless_no_color_is_set(no_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=StringIO(), force_terminal=True, width=120, color_system="standard")
    with live(console=console) as report:
        report.stage("asking", 50)
    coloured = re.search(r"\x1b\[(\d+;)*3\d", console.file.getvalue())  # type: ignore[attr-defined]
    assert bool(coloured) is not no_color


def test_a_board_is_styled_in_a_terminal_and_plain_in_a_pipe() -> None:
    folder = Path(__file__).parents[1] / "leaderboards" / "results" / "factcheck_pocket"
    words = [sys.executable, "-m", "editharness", "leaderboard", str(folder)]
    screen, slave = pty.openpty()
    process = subprocess.Popen(
        words, stdout=slave, stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm-256color"}
    )
    os.close(slave)
    shown = b""
    with suppress(OSError):  # how a terminal tells that the other end is closed
        while part := os.read(screen, 65536):
            shown += part
    os.close(screen)
    assert process.wait(timeout=60) == 0
    assert b"\x1b[" in shown
    piped = subprocess.run(words, capture_output=True, check=True, timeout=60)
    assert b"\x1b" not in piped.stdout
