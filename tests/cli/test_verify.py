"""`editharness verify`: its output, its exit status, and what it does not import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.verifying.submission import Submission, committed

from editharness.cli import main


def test_a_good_record_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(committed())]) == 0
    assert capsys.readouterr().out == "1 record recomputed: all as written\n"


def test_findings_are_lines_with_level_path_and_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Submission(tmp_path / "bad")
    bad.record["cost"]["seconds"] = -1.0
    bad.write()
    doubtful = Submission(tmp_path / "doubtful")
    (doubtful.folder / ".lock").write_text("")
    assert main(["verify", str(tmp_path)]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[0] == f"error: {bad.path}: cost.seconds: -1 seconds: time does not run backwards"
    assert lines[-1].startswith(f"warning: {doubtful.folder / '.lock'}: a hidden file")
    assert last == "2 records recomputed: 1 with errors, 1 with warnings"
    assert main(["verify", str(doubtful.folder)]) == 0


def test_json_holds_the_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Submission(tmp_path)
    bad.record["notes"] = ["\x1b[2J"]
    bad.write()
    assert main(["verify", str(tmp_path), "--json"]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    made = json.loads(out)
    assert made["good"] is False
    (record,) = made["records"]
    assert {"level": "error", "place": "notes[0]"}.items() <= record["findings"][0].items()


def test_the_leaderboard_verifies_with_the_same_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = Submission(tmp_path)
    bad.column()["value"] = 0.01
    bad.write()
    assert main(["verify", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert main(["leaderboard", str(tmp_path), "--verify"]) == 1
    assert capsys.readouterr().out == said


def test_what_a_user_gets_wrong_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(committed())
    for words in (
        [],
        ["nowhere"],
        [str(tmp_path)],
        [run, "--rerun", "0"],
        [run, "--data", "pocket"],
        [run, "--data", "x=y"],
    ):
        assert main(["verify", *words]) == 2, words
        assert capsys.readouterr().err.count("\n") == 1


def test_an_error_that_quotes_a_stranger_cannot_act_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Submission(tmp_path)
    bad.record["\x1b]0;owned\x07"] = 1
    bad.write()
    for words in (["leaderboard", str(tmp_path)], ["compare", str(bad.folder), str(bad.folder)]):
        assert main(words) == 2
        assert capsys.readouterr().err.rstrip("\n").isprintable()


@pytest.mark.slow
def test_no_model_library_is_imported() -> None:
    code = (
        "import sys; from editharness.cli import main; status = main(['verify', sys.argv[1]]);"
        "heavy = {'torch', 'transformers', 'lm_eval', 'datasets'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    words = [sys.executable, "-c", code, str(committed())]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
