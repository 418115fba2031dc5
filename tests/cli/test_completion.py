"""Shell completion: the scripts, and what editharness answers a shell that asks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from editharness.cli import COMMANDS, main


def answers(typed: str, folder: Path) -> set[str]:
    """What the shell is told may come next."""
    out = folder / "answers"
    environment = {
        **os.environ, "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "fish", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": typed,
        "COMP_POINT": str(len(typed)), "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "from editharness.cli import main; main()"],
        capture_output=True, text=True, check=False, env=environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {line.partition("\t")[0].strip() for line in out.read_text().splitlines()}


@pytest.mark.parametrize(
    ("typed", "expected", "absent"),
    [
        ("editharness ", set(COMMANDS), {"--method"}),
        ("editharness le", {"leaderboard"}, {"eval"}),
        ("editharness eval --meth", {"--method"}, {"--task"}),
        ("editharness eval --method mem", {"memit", "memit-lti"}, {"rome"}),
        ("editharness eval --method rome,mem", {"rome,memit"}, {"memit"}),
        ("editharness eval --task negation_p", {"negation_pocket", "negation_plus_pocket"}, {"wild_pocket"}),
        ("editharness eval --dtype ", {"float32", "bfloat16"}, set()),
        ("editharness methods ro", {"rome"}, {"memit"}),
        ("editharness cache cl", {"clean"}, {"list"}),
    ],
    ids=["commands", "command", "option", "name", "second name", "task", "choice", "listing", "action"],
)
def test_what_may_come_next(typed: str, expected: set[str], absent: set[str], tmp_path: Path) -> None:
    found = answers(typed, tmp_path)
    assert expected <= found
    assert not absent & found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_takes(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_ARGCOMPLETE" in script
    if shutil.which(shell):
        done = subprocess.run([shell, "-n", "-c", script], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


def test_an_unknown_shell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "csh"]) == 2
    assert "invalid choice: 'csh'" in capsys.readouterr().err
