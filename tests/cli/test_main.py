"""The dispatcher: help, versions, what is mistyped, what a bug and an interruption look like."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from editharness import __version__
from editharness.cli import COMMANDS, main
from editharness.cli.common import Parser
from editharness.errors import UnknownNameError, UsageError

RUN = [sys.executable, "-c", "import sys; from editharness.cli import main; sys.exit(main())"]


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*RUN, *words], capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=300
    )


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: editharness COMMAND")
    for name, command in COMMANDS.items():
        assert name in out
        assert command.summary in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"editharness {__version__}\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["evl"], "editharness: unknown command 'evl': did you mean 'eval'? (see editharness --help)"),
        (["--versoin"], "editharness: unknown option '--versoin': did you mean '--version'? (see editharness --help)"),
        (
            ["methods", "--formt=json"],
            "editharness: unknown option '--formt': did you mean '--format'? (see editharness methods --help)",
        ),
        (["methods", "--form", "json"], "editharness: unknown option '--form': did you mean '--format'?"),
        (["methods", "rome", "memit"], "editharness: one argument too many: 'memit' (see editharness methods --help)"),
        (["methods", "--format"], "editharness: argument --format: expected one argument (see editharness methods"),
        (["methods", "--format", "csv"], "editharness: argument --format: invalid choice: 'csv'"),
        (["methods", "--path"], "editharness: --path needs a name: editharness methods NAME --path"),
        (["methods", "memitt"], "editharness: unknown method 'memitt': did you mean 'memit'? (see editharness"),
    ],
)  # fmt: skip
def test_what_is_mistyped_is_one_line_and_status_2(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(line)
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", [name for name in COMMANDS if COMMANDS[name].module.endswith("listing")])
def test_every_listing_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"usage: editharness {command}" in capsys.readouterr().out


def test_a_one_line_error_keeps_its_traceback_when_asked() -> None:
    quiet = run("methods", "memitt")
    loud = run("methods", "memitt", EDITHARNESS_TRACEBACK="1")
    assert (quiet.returncode, "Traceback" in quiet.stderr) == (2, False)
    assert "Traceback" in loud.stderr
    assert "UnknownNameError" in loud.stderr


def test_an_interruption_is_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Stopped:
        def write(self, text: str) -> int:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Stopped())
        status = main(["--version"])
    assert status == 130
    assert capsys.readouterr().err == "editharness: interrupted\n"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stdout:
        done = subprocess.run(
            [*RUN, "tasks"], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_broken_plugin_is_one_line(tmp_path: Path) -> None:
    info = tmp_path / "broken_thing-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-thing\nVersion: 0.3\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[editharness]\nbroken = no_such_module\n", encoding="utf-8")
    done = run("methods", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(
        "editharness: plugin 'broken' of broken-thing 0.3 cannot be loaded: ModuleNotFoundErr"
    )
    assert done.stderr.count("\n") == 1
    unblocked = run("methods", PYTHONPATH=str(tmp_path), EDITHARNESS_DISABLE_PLUGINS="broken_thing")
    assert unblocked.returncode == 0, unblocked.stderr


def test_help_answers_at_once() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time, since a busy machine stretches the clock; measured 0.05 s
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.3


def test_the_parser_keeps_what_was_typed_apart_from_defaults() -> None:
    parser = Parser(prog="editharness x")
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", "--tasks", default="a")
    assert parser.parse_args(["--edits=5", "--tasks", "b"]).passed == {"edits": 5, "task": "b"}
    with pytest.raises(UnknownNameError, match="'--edit': did you mean '--edits'"):
        parser.parse_args(["--edit", "3"])
    with pytest.raises(UsageError, match=r"invalid int value: 'x' \(see editharness x --help\)"):
        parser.parse_args(["--seed", "x"])
