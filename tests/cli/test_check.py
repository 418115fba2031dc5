"""`editharness check`: what it finds is printed with its mend, and is the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from editharness.cli import main
from editharness.cli.check import FAMILIES
from editharness.testing.tiny import tiny

CARELESS = '''
from editharness import hookimpl
from editharness.method import Method
from editharness.types import MethodSpec, Status, Step


class Careless(Method[None]):
    """Says that it has edited, and has not."""

    def edit(self, host, edits, state):
        return Step(None, state, tuple(Status(edit.id, "done") for edit in edits))


@hookimpl
def register_methods(register):
    register(MethodSpec(name="careless", title="Careless", paper="none", ref="careless_file:Careless"))
'''


def test_every_family_can_be_made() -> None:
    for family in FAMILIES:
        assert tiny(family)[0].config.num_hidden_layers == 3


def test_a_finding_says_what_why_and_how_and_is_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "careless_file.py").write_text(CARELESS)
    words = ["check", "careless", "--plugin", str(tmp_path / "careless_file.py"), "--family", "gpt2"]
    assert main([*words, "--only", "moves the fact"]) == 1
    out = capsys.readouterr().out
    assert "careless on gpt2, moves the fact: " in out
    assert "  why:  " in out
    assert "  mend: " in out


def test_a_method_that_keeps_its_promise_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "memit", "--family", "llama", "--only", "spec", "--only", "source"]) == 0
    assert "0 findings, 2 checks passed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["memitt"], "did you mean 'memit'"),
        (["memit", "--family", "lama"], "did you mean 'llama'"),
        (["memit", "--only", "undoo"], "did you mean 'undo'"),
    ],
)
def test_unknown_names_get_the_nearest(words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert wanted in capsys.readouterr().err
