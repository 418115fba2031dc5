from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from editharness.cli import main
from editharness.cli.data import _key

QA = """question,answer,topic
Who is the mother of Ada Byron?,Anne Milbanke,x
Who is the mother of Bo Peep?,Eve Smith,x
how?,so,x
Which river flows through Cairo?,Nile,x
Which river flows through Paris?,Seine,x
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qa.csv").write_text(QA, encoding="utf-8")
    return tmp_path


def test_build_then_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "build", "qa.csv", "--output", "cases.jsonl", "--review", "review.csv"]) == 0
    out, err = capsys.readouterr()
    assert out == "cases.jsonl: 4 cases of 5 rows (subject: 4 rule; target: 4 rule)\n"
    assert err.splitlines() == [
        "left out: record 3: field 'subject' is found by no rule; give it in a column",
        "columns without a meaning here: topic",
    ]
    cases = [json.loads(line) for line in Path("cases.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [case["target"] for case in cases[2:]] == ["Seine", "Nile"]
    with open("review.csv", encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file))
    assert table[1][1] == "Who is the mother of Ada Byron?"
    assert table[-1][0] == "3"
    assert main(["data", "check", "cases.jsonl"]) == 0
    assert capsys.readouterr().out == "cases.jsonl: 4 records, all in order\n"


def test_check_names_record_and_field(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "build", "qa.csv", "--output", "cases.jsonl"])
    text = Path("cases.jsonl").read_text(encoding="utf-8")
    Path("cases.jsonl").write_text(text.replace('"target": "Seine"', '"target": "Cairo"'), encoding="utf-8")
    capsys.readouterr()
    assert main(["data", "check", "cases.jsonl"]) == 1
    out, err = capsys.readouterr()
    assert "record 3: field 'question' gives the answer 'Cairo' away" in err
    assert out == "cases.jsonl: 4 records, 1 with problems\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "build|check"),
        (["bild"], "invalid choice: 'bild'"),
        (["build", "qa.csv"], "--output"),
        (["build", "absent.csv", "--output", "c.jsonl"], "absent.csv: no such file"),
        (["build", "qa.csv", "--output", "no/c.jsonl"], "--output no/c.jsonl: no folder no"),
        (["build", "qa.csv", "--output", "."], "--output .: is a folder"),
        (["build", "qa.csv", "--output", "qa.csv"], "is the file of pairs itself"),
        (["build", "qa.csv", "--output", "c.jsonl", "--review", "c.jsonl"], "is --output itself"),
        (["build", "qa.csv", "--output", "c.jsonl", "--revew", "r.csv"], "did you mean '--review'?"),
        (["build", "qa.csv", "--output", "c.jsonl", "--seed", "-1"], "a whole number from 0"),
        (["build", "qa.csv", "--output", "c.jsonl", "--url", "http://x"], "--url is for --by server"),
        (["build", "qa.csv", "--output", "c.jsonl", "--by", "server"], "--by server needs --url"),
        (
            ["build", "qa.csv", "--output", "c.jsonl", "--by", "server", "--url", "x:1", "--model", "m"],
            "--url x:1: start it with http:// or https://",
        ),
        (
            [
                *[
                    "build",
                    "qa.csv",
                    "--output",
                    "c.jsonl",
                    "--by",
                    "server",
                    "--url",
                    "http://x",
                    "--model",
                    "m",
                    "--key-env",
                    "NOT_SET_HERE",
                ]
            ],
            "--key-env NOT_SET_HERE: this environment variable is not set",
        ),
        (["check", "qa.csv"], "qa.csv"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    assert main(["data", *words]) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.startswith("editharness: ")
    assert error.count("\n") == 1
    assert not Path("c.jsonl").exists()


def test_nothing_is_written_where_no_case_could_be_made(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.csv").write_text("question,answer\nhow?,so\n", encoding="utf-8")
    assert main(["data", "build", "one.csv", "--output", "c.jsonl"]) == 2
    assert capsys.readouterr().out == "no case could be made of 1 rows; nothing was written\n"
    assert not Path("c.jsonl").exists()


def test_a_key_goes_only_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("MINE", "own")
    assert _key("https://api.openai.com/v1", None) == "secret"
    assert _key("http://127.0.0.1:8000/v1", None) == "none"
    assert _key("https://api.openai.com.evil.example/v1", None) == "none"
    assert _key("http://127.0.0.1:8000/v1", "MINE") == "own"


def test_without_the_client_a_server_is_refused_in_one_line(folder: Path) -> None:
    code = (
        "import sys; sys.modules['openai'] = None; from editharness.cli import main;"
        "sys.exit(main(['data', 'build', 'qa.csv', '--output', 'c.jsonl', '--by', 'server', '--url', 'http://x',"
        " '--model', 'm']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == ("editharness: --by server needs the openai client: pip install 'editharness[judge]'\n")
