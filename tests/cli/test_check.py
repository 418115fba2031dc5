"""`editharness check`: what it finds is printed with its mend, and is the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from editharness.cli import main
from editharness.cli.check import FAMILIES
from editharness.testing.tiny import FAMILIES as MADE
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
    assert tuple(MADE) == FAMILIES
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
        (["negatoin"], "did you mean 'negation'? (a protocol)"),
        (["memit", "--kind", "judge"], "unknown judge 'memit'"),
        (["rules", "--judge-set", "rule.x=1"], "did you mean 'rules'? (in --judge-set)"),
        (["pocket", "--data", "poket=x"], "did you mean 'pocket'? (in --data)"),
        (["rules", "--only", "batery"], "did you mean 'battery'"),
    ],
)
def test_unknown_names_get_the_nearest(words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert wanted in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "head"),
    [
        (["rules"], "rules on the battery: 0 findings, 8 checks passed"),
        (["pocket"], "pocket on pocket.jsonl: 0 findings, 10 checks passed"),
        (["negation_pocket_neg"], "negation_pocket_neg on pocket's first case: 0 findings, 6 checks passed"),
        (["negation", "--only", "hash", "--kind", "protocol"], "negation on pocket: 0 findings, 1 check passed"),
    ],
)
def test_every_kind_is_checked_by_its_own_kit(words: list[str], head: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 0
    assert capsys.readouterr().out.startswith(head)


def test_all_tasks_of_a_group_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "negation_pocket", "--only", "renders"]) == 0
    assert [line.split(" on ")[0] for line in capsys.readouterr().out.splitlines()] == [
        "negation_pocket_pos",
        "negation_pocket_neg",
    ]


@pytest.mark.parametrize(
    ("words", "flag"),
    [(["rules", "--family", "gpt2"], "--family says nothing about a judge"),
     (["pocket", "--set", "steps=1"], "--set says nothing about a dataset"),
     (["memit", "--judge-set", "memit.x=1"], "--judge-set says nothing about a method")],
)  # fmt: skip
def test_a_flag_of_another_kind_is_refused(words: list[str], flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert flag in capsys.readouterr().err


YES = """
from editharness import hookimpl
from editharness.judge import Judge, Verdict
from editharness.types import JudgeSpec


class Yes(Judge[None]):
    def verdicts(self, items):
        return [Verdict("correct") for item in items]


@hookimpl
def register_judges(register):
    register(JudgeSpec("rome", "yes", "yes_file:Yes"))
"""


def test_a_name_of_two_kinds_wants_the_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "yes_file.py").write_text(YES)
    words = ["check", "rome", "--plugin", str(tmp_path / "yes_file.py")]
    assert main(words) == 2
    assert "'rome' is a method and a judge: say which, as in --kind method" in capsys.readouterr().err
    assert main([*words, "--kind", "judge"]) == 1
    assert "rome on the battery, battery: the sanity battery: empty 0 of 4 right" in capsys.readouterr().out


def test_a_judge_that_cannot_be_asked_here_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "bertscore"]) == 2
    assert "judge bertscore has no encoder: give --judge-set bertscore.model=FOLDER" in capsys.readouterr().err
