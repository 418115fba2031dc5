"""The packages that `new-KIND` writes install, pass their tests and run; what is wrong with a name is one line."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from editharness.cli import COMMANDS, main
from editharness.cli.common import Parser
from editharness.scaffold import KINDS, new_package

SAID = ('"""', "from ", "import ", "#")
"""How lines begin that are no code."""


def run(words: list[str], **more: str) -> str:
    done = subprocess.run(words, env={**os.environ, **more}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# kind, the listing that shows it, tests of the package, a run with it
PACKAGES = (
    ("method", "methods", 2, "eval --method two-step --task synthetic_pocket --edits 3"),
    ("protocol", "protocols", 1, "eval --method ft-m --task two-step_pocket --edits 3"),
    ("dataset", "datasets", 3, "eval --method ft-m --task negation_two-step --edits 3"),
    ("judge", "judges", 2, "judge RECORD --judge two-step"),
)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers for a judge."""
    folder = tmp_path_factory.mktemp("record")
    words = ["eval", "--method", "none", "--task", "portability_pocket", "--edits", "2", "--output", str(folder)]
    assert main(words) == 0
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "listing", "count", "command"), PACKAGES, ids=[kind for kind, *_ in PACKAGES])
def test_it_installs_passes_its_test_and_runs(
    kind: str, listing: str, count: int, command: str, record: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"new-{kind}", "two-step", "--output", str(tmp_path)]) == 0
    package, site = tmp_path / "two-step", tmp_path / "site"
    assert f"pip install -e {package}\n  editharness check two-step\n" in capsys.readouterr().out
    quiet = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--root-user-action=ignore"]
    run([sys.executable, "-m", "pip", "install", *quiet, "--target", str(site), str(package)])
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    editharness = [sys.executable, "-m", "editharness"]
    assert "two-step 0.1.0" in run([*editharness, listing], PYTHONPATH=path)
    test = str(package / "tests" / "test_two_step.py")
    assert f"{count} passed" in run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test], PYTHONPATH=path
    )
    words = [str(record) if word == "RECORD" else word for word in command.split()]
    output = ["--output", str(tmp_path / "runs")] if kind != "judge" else []
    assert "two-step" in run([*editharness, *words, *output], PYTHONPATH=path)


@pytest.mark.parametrize("kind", KINDS)
def test_its_code_is_short_and_formatted(kind: str, tmp_path: Path) -> None:
    package = new_package(kind, "two-step", tmp_path)
    (main_module,) = [path for path in (package / "two_step").glob("*.py") if path.name != "__init__.py"]
    code = [line for line in main_module.read_text().splitlines() if line.strip() and not line.strip().startswith(SAID)]
    assert 10 < len(code) <= 40
    ruff = [sys.executable, "-m", "ruff"]
    run([*ruff, "check", "--isolated", "--line-length", "120", "--select", "E,F,B,UP,RUF", str(package)])
    run([*ruff, "format", "--isolated", "--line-length", "120", "--check", str(package)])


@pytest.mark.parametrize("kind", KINDS)
def test_every_command_that_it_tells_is_one(kind: str) -> None:
    for command in KINDS[kind].next:
        _, name, *rest = command.format("two-step").split()
        parser = Parser()
        importlib.import_module(COMMANDS[name].module).arguments(parser)
        assert parser.parse_args(rest)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("My Method", "small letters, digits and dashes, such as my-method"),
        ("../x", "small letters, digits and dashes, such as x"),
        ("json", "'json' is taken by Python or a package here; try my-json"),
        ("class", "'class' is taken by Python"),
        ("memit", "NAME 'memit': there is a knowledge editing method of this name; try my-memit"),
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
