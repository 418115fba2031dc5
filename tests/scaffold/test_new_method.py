"""The package that `new-method` writes installs, conforms, and gets a row; what is wrong with a name is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from editharness.cli import main


def run(words: list[str], **more: str) -> str:
    done = subprocess.run(words, env={**os.environ, **more}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_it_installs_conforms_and_gets_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-method", "two-step", "--output", str(tmp_path)]) == 0
    assert f"pip install -e {tmp_path / 'two-step'}" in capsys.readouterr().out
    site = tmp_path / "site"
    quiet = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--root-user-action=ignore"]
    run([sys.executable, "-m", "pip", "install", *quiet, "--target", str(site), str(tmp_path / "two-step")])
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    editharness = [sys.executable, "-m", "editharness"]
    assert "rate" in run([*editharness, "methods", "two-step"], PYTHONPATH=path)
    test = str(tmp_path / "two-step" / "tests" / "test_two_step.py")
    assert "2 passed" in run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test], PYTHONPATH=path)
    words = [
        "eval",
        "--method",
        "two-step",
        "--task",
        "synthetic_pocket",
        "--edits",
        "3",
        "--output",
        str(tmp_path / "runs"),
    ]
    assert "two-step" in run([*editharness, *words], PYTHONPATH=path)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("My Method", "small letters, digits and dashes, such as my-method"),
        ("../x", "small letters, digits and dashes, such as x"),
        ("json", "'json' is taken by Python or a package here; try my-json"),
        ("class", "'class' is taken by Python"),
    ],
)
def test_a_name_that_cannot_be_one_gets_another(
    name: str, wanted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new-method", name, "--output", str(tmp_path)]) == 2
    assert wanted in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two-step").mkdir()
    assert main(["new-method", "two-step", "--output", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert not list((tmp_path / "two-step").iterdir())
