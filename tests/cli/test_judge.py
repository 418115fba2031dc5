"""`editharness judge` as a user types it: judges side by side, labels out and in, and every way to type it wrong."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.judges.chat_server import Reply, says, serving
from tests.judging.stored import store_run

from editharness.cli import main
from editharness.cli.judge import judge_names, judge_settings
from editharness.errors import EditHarnessError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITHARNESS_CACHE", str(tmp_path / "cache"))
    for name in ("EDITHARNESS_JUDGE_URL", "EDITHARNESS_JUDGE_MODEL", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    return store_run(Path("runs")).relative_to(".")


def server(url: str, *more: str) -> list[str]:
    words = ["openai.model=m", f"openai.url={url}", "openai.timeout=5", "openai.retries=0", *more]
    return [part for word in words for part in ("--judge-set", word)]


def cells(capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, object]]]:
    return dict(json.loads(capsys.readouterr().out))


def test_rules_are_the_default(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = (run / "record.json").read_bytes()
    assert main(["judge", str(run)]) == 0
    out, err = capsys.readouterr()
    assert re.search(
        r"^rome +negation_pocket_pos +positive +final +rules +75\.0 +\[[\d.]+, [\d.]+\] +12 +0$", out, re.M
    )
    assert re.search(r"^none +negation_pocket_pos +unedited +rules +0\.0 +", out, re.M)
    assert re.search(r"^rules +rules +36 of 36 +version=1$", out, re.M)
    assert "many answers are right under negation: negation_pocket_neg" in err
    assert (run / "record.json").read_bytes() == record


def test_several_judges_side_by_side(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as seen:
        assert main(["judge", str(run), "--judge", "rules,openai", *server(seen.url), "--format", "json"]) == 0
        asked = len(seen.requests)
        found = cells(capsys)
        by_judge = {(row["row"], row["task"], row["judge"]): row["correct"] for row in found["judged_answers"]}
        for row, task, judge in by_judge:
            assert by_judge[row, task, "openai"] == by_judge[row, task, "rules"], judge
        (pair,) = found["agreement"]
        assert (pair["agree"], pair["kappa"]) == ("100.0", "1.00")
        assert [one["name"] for one in found["judges"]] == ["openai", "rules"]
        # a second time nothing is asked
        assert main(["judge", str(run), "--judge", "openai", *server(seen.url)]) == 0
        assert len(seen.requests) == asked


def test_a_judge_under_a_name_of_its_own(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as seen:
        words = [word.replace("openai.", "big.") for word in server(seen.url)]
        assert main(["judge", str(run), "--judge", "big=openai", *words]) == 0
    assert re.search(r" big +75\.0 ", capsys.readouterr().out)
    assert (run / "judgements-big.jsonl").is_file()


def test_a_judge_that_fails_the_battery_is_not_shown(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda request, n: says("A")) as seen:
        assert main(["judge", str(run), "--judge", "rules,openai", *server(seen.url)]) == 2
    out, err = capsys.readouterr()
    assert "judge 'openai' is not shown: failed the sanity battery: empty 0 of 4 right" in err
    assert " openai " not in out
    assert " rules " in out
    assert len((run / "judgements-openai.jsonl").read_text(encoding="utf-8").splitlines()) == 1


def test_what_a_judge_cannot_read_is_unscored_with_bounds(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.judges.chat_server import honest

    def sometimes(request: dict[str, object], n: int) -> Reply:
        return (
            says("It depends.") if "given-answer" in str(request) and " not " in fenced(request) else honest(request, n)
        )

    def fenced(request: dict[str, object]) -> str:
        given = str(request).partition("<given-answer-")[2].partition("</given-answer-")[0]
        return "" if "It is not" in given else given

    with serving(sometimes) as seen:
        words = ["--rows", "rome", "--tasks", "negation_pocket_pos", "--format", "json"]
        assert main(["judge", str(run), "--judge", "openai", *server(seen.url), *words]) == 0
    (row,) = cells(capsys)["judged_answers"]
    assert (row["correct"], row["n"], row["unscored"], row["bounds"]) == ("100.0", 9, 3, "75.0 to 100.0")


def test_an_absent_server_is_one_line_and_the_other_judges_go_on(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = server("http://127.0.0.1:9/v1")
    assert main(["judge", str(run), "--judge", "openai", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(
        r"^editharness: judge openai: http://127\.0\.0\.1:9/v1 cannot be reached .*: start the server", err, re.M
    )
    assert not (run / "judgements-openai.jsonl").exists()
    assert main(["judge", str(run), "--judge", "openai,rules", *words]) == 2
    out, err = capsys.readouterr()
    assert "openai: judge openai: http://127.0.0.1:9/v1 cannot be reached" in err
    assert " rules " in out
    assert " openai " not in out


def test_an_earlier_column_does_not_stand_in_for_a_judge_that_fails_now(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as seen:
        assert main(["judge", str(run), "--judge", "openai", *server(seen.url)]) == 0
    assert " openai " in capsys.readouterr().out
    assert main(["judge", str(run), "--judge", "rules,openai", *server("http://127.0.0.1:9/v1")]) == 2
    assert " openai " not in capsys.readouterr().out


def test_labels_go_out_and_come_in_beside_the_judges(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(run)]) == 0
    assert main(["judge", str(run), "--export", "labels.csv", "--sample", "10", "--seed", "1"]) == 0
    assert "labels.csv: 10 answers" in capsys.readouterr().out
    with Path("labels.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    labelled = [
        [*row[:-1], "" if n == 0 else "correct" if row[2].split(" | ")[0] in row[3] else "incorrect"]
        for n, row in enumerate(rows)
    ]
    with Path("labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *labelled])
    assert main(["judge", str(run), "--import", "labels.csv", "--judge-name", "human-alice", "--format", "json"]) == 0
    found = cells(capsys)
    assert {row["judge"] for row in found["judged_answers"]} == {"rules", "human-alice"}
    (pair,) = found["agreement"]
    assert pair["n"] == 9
    assert [one["sanity_battery"] for one in found["judges"]] == ["not asked: a person", "36 of 36"]
    assert main(["judge", str(run), "--export", "labels.csv"]) == 2
    assert "is already there and may hold labels" in capsys.readouterr().err


def test_a_wrong_label_writes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", str(run), "--export", "labels.csv"]) == 0
    text = Path("labels.csv").read_text(encoding="utf-8").splitlines()
    Path("labels.csv").write_text("\n".join([text[0], f"{text[1]}yes"]), encoding="utf-8")
    assert main(["judge", str(run), "--import", "labels.csv", "--judge-name", "human-alice"]) == 2
    assert "labels.csv line 2: label 'yes': write correct or incorrect" in capsys.readouterr().err
    assert not list(run.glob("judgements-*"))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--judge", "ruls"], "unknown judge 'ruls': did you mean 'rules'?"),
        (["--judge", "rules,rules"], "'rules' stands twice; give one a name"),
        (["--judge", "rules,=openai"], "write it as --judge JUDGE,NAME=JUDGE"),
        (["--judge", "local=rules"], "'local' is a judge of its own; choose another name"),
        (["--judge", "a/b=rules"], "judge name 'a/b': use at most 60 letters"),
        (["--judge-set", "local.model=x"], "unknown judge 'local'"),
        (["--judge-set", "model"], "write it as --judge-set JUDGE.KEY=VALUE"),
        (["--judge-set", "rules.x=1"], "judge 'rules' has no options"),
        (["--judge", "local"], "judge local has no model: give --judge-set local.model=FOLDER"),
        (["--judge", "local", "--judge-set", "local.modle=x"], "unknown option 'modle': did you mean 'model'?"),
        (["--judge", "local", "--judge-set", "local.model=./absent"], "model folder './absent' does not exist"),
        (["--judge", "openai"], "judge openai has no server: give --judge-set openai.url="),
        (["--import", "absent.csv", "--judge-name", "x"], "--import absent.csv: no such file"),
        (["--import", "absent.csv"], "--import FILE and --judge-name NAME go together"),
        (["--judge-name", "x"], "--import FILE and --judge-name NAME go together"),
        (["--sample", "3"], "--sample goes with --export FILE"),
        (["--export", "x.csv", "--judge", "rules"], "leave --judge out"),
        (["--rows", "memit"], "unknown row 'memit'"),
        (["--data", "pocket=absent.jsonl"], "--data pocket=absent.jsonl: no such file"),
        (["--data", "poket=x"], "unknown data set 'poket': did you mean 'pocket'?"),
    ],
)
def test_what_is_typed_wrong_is_one_line(
    words: list[str], problem: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", str(run), *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("editharness: ")
    assert problem in last
    assert not list(run.glob("judgements-*"))


def test_no_run_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "no-such-folder"]) == 2
    assert "no-such-folder: no such file or folder" in capsys.readouterr().err


def test_names_and_settings() -> None:
    names = judge_names("rules, big=openai ,small=openai")
    assert names == {"rules": "rules", "big": "openai", "small": "openai"}
    found = judge_settings(["big.url=http://a/v1?x=y", "small.model=m.1", "big.model=x"], names)
    assert found == {"rules": {}, "big": {"url": "http://a/v1?x=y", "model": "x"}, "small": {"model": "m.1"}}
    with pytest.raises(EditHarnessError, match="given twice"):
        judge_settings(["big.url=a", "big.url=b"], names)


@pytest.mark.slow
def test_a_local_judge_from_a_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.judges.graders import PROMPT, saved, taught

    folder = saved(taught(), Path("grader"))
    words = ["--judge-set", f"local.model={folder}", "--judge-set", f"local.prompt={PROMPT}"]
    assert main(["judge", str(run), "--judge", "rules,local", *words, "--format", "json"]) == 0
    found = cells(capsys)
    assert {row["judge"] for row in found["judged_answers"]} == {"rules", "local"}
    local, rules = found["judges"]
    assert (local["name"], local["sanity_battery"], rules["name"]) == ("local", "36 of 36", "rules")
    # the packaged model was never taught to grade, and is found out
    assert main(["judge", str(run), "--judge", "pk=local", "--judge-set", "pk.model=pocket"]) == 2
    assert "judge 'pk' is not shown: failed the sanity battery" in capsys.readouterr().err


@pytest.mark.slow
def test_in_a_process_of_its_own(run: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "editharness", "judge", str(run)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "negation_pocket_pos" in done.stdout
