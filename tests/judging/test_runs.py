"""Stored answers joined with their data, judged, and read back beside the record that never changes."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.judging.stored import pocket_cases, sample, store_run

from editharness.errors import DataError, PluginError, RecordError, UnknownNameError
from editharness.judge import Verdict
from editharness.judging.answers import RunAnswers, Wanted, run_answers
from editharness.judging.deciding import make_judge
from editharness.judging.runs import items_of, judge_runs, stored, write_labels
from editharness.registry import load_plugins
from editharness.store.judgements import read_judgements, write_judgements

REGISTRY = load_plugins()


def answers(folder: Path, wanted: Wanted = Wanted(), **files: Path) -> RunAnswers:  # noqa: B008  frozen
    return run_answers(folder / "record.json", REGISTRY, files, wanted, offline=True)


def test_every_answer_gets_its_question_and_what_was_expected(tmp_path: Path) -> None:
    run = answers(store_run(tmp_path))
    cases, _ = pocket_cases()
    assert len(run.given) == 3 * 3 * len(cases)
    assert run.left_out == ("negation_pocket_neg",)
    first = next(g for g in run.given if g.sample.row == "rome" and g.sample.task == "negation_pocket_pos")
    case = next(case for case in cases if case.id == first.sample.case)
    assert (first.item.question, first.item.gold, first.item.aliases) == (case.prompt, case.target, case.target_aliases)
    assert first.item.rivals == (case.old,)
    assert first.subject == case.subject_text
    second = [g for g in run.given if g.sample.task == "paraphrase_pocket" and g.sample.item == 1]
    by_id = {case.id: case for case in cases}
    assert all(g.item.question == by_id[g.sample.case].paraphrases[1] for g in second)


def test_rows_and_tasks_can_be_chosen_and_negated_questions_only_so(tmp_path: Path) -> None:
    folder = store_run(tmp_path)
    run = answers(folder, Wanted(rows=("none",), tasks=("negation_pocket_neg",)))
    cases, _ = pocket_cases()
    assert {g.item.question for g in run.given} == {case.negated_prompt for case in cases}
    assert {g.sample.row for g in run.given} == {""}
    with pytest.raises(UnknownNameError, match="unknown row 'rom': did you mean 'rome'"):
        answers(folder, Wanted(rows=("rom",)))
    with pytest.raises(UnknownNameError, match="unknown task 'paraphrase': did you mean 'paraphrase_pocket'"):
        answers(folder, Wanted(tasks=("paraphrase",)))


def test_the_judge_writes_beside_the_record_and_nothing_else(tmp_path: Path) -> None:
    folder = store_run(tmp_path / "runs")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run = answers(folder)
    decided = judge_runs("rules", make_judge(REGISTRY, "rules", {}, tmp_path / "cache"), [run])
    assert len(decided.verdicts) == len(items_of([run]))
    made = read_judgements(folder / "judgements-rules.jsonl")
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"judgements-rules.jsonl"}
    labels = {(v.row, v.case, v.label) for v in made.verdicts if v.task == "negation_pocket_pos"}
    for n, case in enumerate(pocket_cases()[0]):
        assert ("rome", case.id, "correct" if n % 4 else "incorrect") in labels
        assert ("target", case.id, "correct") in labels
        assert ("", case.id, "incorrect") in labels
    assert stored(run).shown[0].name == "rules"


def test_a_failed_judge_is_stored_with_its_reason_and_not_shown(tmp_path: Path) -> None:
    folder = store_run(tmp_path)
    run = answers(folder)
    judge_runs("rules", make_judge(REGISTRY, "rules", {}, tmp_path / "cache"), [run])
    made = read_judgements(folder / "judgements-rules.jsonl")
    write_judgements(folder, replace(made, name="bad", failed="negated 0 of 4 right", verdicts=()))
    write_judgements(folder, replace(made, name="old", samples="0" * 64))
    found = stored(run)
    assert [one.name for one in found.shown] == ["rules"]
    assert found.hidden == {
        "bad": "failed the sanity battery: negated 0 of 4 right",
        "old": "judged other answers than those of the record: judge again",
    }


def test_one_name_is_one_scorer(tmp_path: Path) -> None:
    run = answers(store_run(tmp_path))
    rules = make_judge(REGISTRY, "rules", {}, tmp_path / "cache")
    write_labels("alice", [run], {run.given[0].item.digest: Verdict("correct")}, "labels.csv")
    with pytest.raises(RecordError, match="holds verdicts of 'human', not 'rules': choose another name"):
        judge_runs("alice", rules, [run])
    judge_runs("rules", rules, [run])
    with pytest.raises(RecordError, match="holds verdicts of 'rules', not 'human'"):
        write_labels("rules", [run], {}, "labels.csv")


def test_a_label_goes_to_every_run_and_row_that_gave_the_answer(tmp_path: Path) -> None:
    runs = [answers(store_run(tmp_path, method)) for method in ("rome", "memit")]
    item = runs[0].given[0].item
    same = [g for run in runs for g in run.given if g.item == item]
    assert write_labels("alice", runs, {item.digest: Verdict("correct")}, "labels.csv") == len(same) >= 2
    assert all(len(read_judgements(run.folder / "judgements-alice.jsonl").verdicts) >= 1 for run in runs)


def test_other_data_is_refused(tmp_path: Path) -> None:
    folder = store_run(tmp_path, sha256="f" * 64)
    with pytest.raises(
        DataError, match=r"data set 'pocket' here .* is not what .* give that file with --data pocket=FILE"
    ):
        answers(folder)


def rewrite(folder: Path, line: dict[str, object]) -> Path:
    """Put other answers beside the record, and into it."""
    from hashlib import sha256

    data = gzip.compress(json.dumps(line).encode(), mtime=0)
    (folder / "samples.jsonl.gz").write_bytes(data)
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    record["files"]["samples.jsonl.gz"] = sha256(data).hexdigest()
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_answers_that_do_not_fit_are_named(tmp_path: Path) -> None:
    (case, *_), _ = pocket_cases()
    line = sample("rome", "paraphrase_pocket", case, "x")
    folder = store_run(tmp_path)
    for changes, error, problem in (
        ({"case": "no-such-case"}, RecordError, "case 'no-such-case' is not in the data set 'pocket'"),
        ({"item": 9}, RecordError, "paraphrase_pocket has no question 9 about case"),
        ({"task": "elsewhere"}, PluginError, "asks task 'elsewhere', which no installed plugin offers"),
        ({"text": None}, RecordError, "no generated answer to judge"),
    ):
        with pytest.raises(error, match=problem):
            answers(rewrite(folder, {**line, **changes}))
    (folder / "samples.jsonl.gz").write_bytes(gzip.compress(json.dumps({**line, "text": "forged"}).encode()))
    with pytest.raises(RecordError, match="is not the file that the record names"):
        answers(folder)
