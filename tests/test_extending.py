"""docs/extending.md word for word: its files are written, its commands typed in order, and each says what it should."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from editharness.cli import main

GUIDE = Path(__file__).parents[1] / "docs" / "extending.md"
FILE = re.compile(r"`(\w+\.\w+)`:\n\n```(?:python|json)\n(.*?)^```", re.M | re.S)
COMMANDS = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.M | re.S)
NAMES = ("hello.py", "my_method.py", "my_protocol.py", "capitals.jsonl", "my_data.py", "my_judge.py")
SAID = {
    "eval --method hello": "hello",
    "check mine": "mine on gpt2: 0 findings",
    "eval --method mine": "mine",
    "check wordings": "wordings on pocket: 0 findings, 8 checks passed",
    "eval --method memit": "protocol wordings",
    "check capitals": "capitals on capitals.jsonl: 0 findings, 10 checks passed",
    "validate capitals.jsonl": "capitals.jsonl: data, 3 cases, read as capitals",
    "check words": "words on the battery: 0 findings, 8 checks passed",
    "judge runs": "words",
    "new-method": "pip install -e",
    "new-protocol": "pip install -e",
    "new-dataset": "pip install -e",
    "new-judge": "pip install -e",
    "validate my_method.py": "my_judge.py: plugin, offers judge 'words'",
    "check negation_pocket": "negation_pocket_neg on pocket's first case: 0 findings",
}
"""How each command of the guide begins -> what it must print."""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the guide, to type its commands in."""
    for name, text in FILE.findall(GUIDE.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in NAMES:
        sys.modules.pop(Path(name).stem, None)


def commands(folder: Path) -> list[str]:
    """The commands of the guide; what they write goes into `folder`."""
    text = "".join(COMMANDS.findall(GUIDE.read_text(encoding="utf-8"))).replace(" /tmp\n", f" {folder}/new\n")
    return [line.removeprefix("editharness ") for line in text.splitlines()]


@pytest.mark.slow
def test_the_guide_works_as_it_stands(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {path.name for path in written.iterdir()} == set(NAMES)
    typed = commands(written)
    assert len(typed) == len(SAID)
    for command, (begin, wanted) in zip(typed, SAID.items(), strict=True):
        assert command.startswith(begin)
        assert main(shlex.split(command)) == 0, command
        assert wanted in capsys.readouterr().out, command


@pytest.mark.parametrize(
    ("file", "old", "new", "command", "wanted"),
    [
        (
            "capitals.jsonl",
            '"old": "Oslo", ',
            "",
            "validate capitals.jsonl --as capitals",
            "line 2, field 'old': is missing",
        ),
        (
            "my_data.py",
            '"CC0-1.0"',
            '"unknown"',
            "check capitals --data capitals=capitals.jsonl",
            "the licence is 'unknown'",
        ),
        ("my_judge.py", 'and " or " not in said ', "", "check words", "hedged 0 of 4 right"),
        (
            "my_protocol.py",
            '"efficacy": "target',
            '"eficacy": "target',
            "check wordings",
            "'efficacy' has no line in the glossary",
        ),
    ],
    ids=["data", "licence", "judge", "protocol"],
)
def test_what_is_broken_in_it_is_found(
    file: str, old: str, new: str, command: str, wanted: str, written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (written / file).read_text(encoding="utf-8")
    assert old in text
    (written / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    plugin = "my_data.py" if file == "capitals.jsonl" else file
    status = main([*shlex.split(command), "--plugin", plugin])
    printed = capsys.readouterr()
    assert status == (2 if command.startswith("validate") else 1)
    assert wanted in printed.out + printed.err
