"""`editharness validate`: what is right passes; what is wrong is named by line and field, with the mend, status 2."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import editharness_plugins
import editharness_tasks
from editharness.cli import main

ROOT = Path(__file__).parents[2]
PLUGINS, TASKS = (Path(module.__file__ or "").parent for module in (editharness_plugins, editharness_tasks))
PRESETS = sorted((PLUGINS / "methods" / "presets").glob("*.yaml"))
RUN = ROOT / "leaderboards" / "results" / "factcheck_pocket"
CASE = """\
class: !function editharness_tasks.case_task.CaseTask
custom_dataset: !function editharness_tasks.case_task.documents
dataset_kwargs: {data: pocket, form: prompt}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: target
generation_kwargs: {until: [], do_sample: false, max_gen_toks: 20}
metric_list:
  - {metric: exact, aggregation: mean, higher_is_better: true}
"""
Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """(exit status, what was printed) of `validate`."""

    def run(*words: str | Path) -> tuple[int, str]:
        status = main(["validate", *map(str, words)])
        printed = capsys.readouterr()
        return status, (printed.out if status == 0 else printed.err).strip()

    return run


def test_presets_that_ship_are_in_order(said: Said) -> None:
    status, text = said(*PRESETS)
    assert status == 0
    assert len(text.splitlines()) == len(PRESETS)
    assert all(f"presets of {path.stem}".replace("_", "-") in text.replace("_", "-") for path in PRESETS)


def test_a_task_a_group_and_a_part_that_ship_are_in_order(said: Said) -> None:
    folder = TASKS / "negation"
    status, text = said(folder / "negation_pocket_neg.yaml", folder / "negation_pocket.yaml", folder / "_case_yaml")
    assert status == 0
    first, second, third = text.splitlines()
    assert first.endswith("task, task 'negation_pocket_neg', rendered and scored on pocket's first case")
    assert "group 'negation_pocket' of 2 tasks" in second
    assert "to be included: its keys are known" in third


def test_data_and_a_record_that_ship_are_in_order(said: Said) -> None:
    status, text = said(PLUGINS / "pocket" / "pocket.jsonl", next(RUN.glob("grace-*")))
    assert status == 0
    assert re.search(r"data, 1168 cases, read as pocket\n.*record, grace-\w+; `editharness verify ", text)


def counterfact() -> list[dict[str, Any]]:
    def rewrite(name: str) -> dict[str, Any]:
        prompt = "The mother tongue of {} is"
        return {"prompt": prompt, "subject": name, "target_new": {"str": "English"}, "target_true": {"str": "French"}}

    return [{"case_id": i, "requested_rewrite": rewrite(f"Danielle {i}"), "paraphrase_prompts": []} for i in range(4)]


def zsre() -> list[dict[str, Any]]:
    return [{"subject": f"Ada{i}", "src": f"Who is Ada{i}?", "alt": "Bo", "answers": ["Cy"]} for i in range(3)]


def pocket() -> list[dict[str, Any]]:
    lines = (PLUGINS / "pocket" / "pocket.jsonl").read_text(encoding="utf-8").splitlines()[:4]
    return [json.loads(line) for line in lines]


def own(tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "qa.csv").write_text("question,answer\nWho wrote Emma?,Jane Austen\nWho wrote Faust?,Goethe\n")
    assert main(["data", "build", str(tmp_path / "qa.csv"), "--output", str(tmp_path / "own.jsonl")]) == 0
    return [json.loads(line) for line in (tmp_path / "own.jsonl").read_text(encoding="utf-8").splitlines()]


def test_counterfact(said: Said, tmp_path: Path) -> None:
    rows, path = counterfact(), tmp_path / "counterfact.json"
    path.write_text(json.dumps(rows, indent=1))
    assert said(path) == (0, f"{path}: data, 4 cases, read as mcf")
    del rows[1]["requested_rewrite"]["target_new"]["str"]
    path.write_text(text := json.dumps(rows, indent=1))
    status, words = said(path)
    line = text[: text.index('"target_new": {}')].count("\n") + 1
    assert status == 2
    assert f"line {line}, field 'requested_rewrite.target_new.str': is missing; add it (record 2, read as mcf;" in words


def test_one_record_alone_is_told_by_what_it_has(said: Said, tmp_path: Path) -> None:
    rows, path = counterfact()[:1], tmp_path / "one.json"
    rows[0]["requested_rewrite"]["subject"] = ""
    path.write_text(json.dumps(rows))
    assert "field 'subject': is empty; fill it in (record 1, read as mcf;" in said(path)[1]


def test_zsre(said: Said, tmp_path: Path) -> None:
    rows, path = zsre(), tmp_path / "zsre.json"
    rows[2]["subject"] = "Eve"
    path.write_text(json.dumps(rows, indent=1))
    status, words = said(path)
    assert status == 2
    assert "field 'subject': 'Eve' does not occur in the prompt; write the subject as it stands in the prompt" in words
    assert "read as zsre;" in words


def test_json_lines_with_empty_lines_between(said: Said, tmp_path: Path) -> None:
    rows, path = pocket(), tmp_path / "mine.jsonl"
    rows[2]["subject_span"] = [0, 1]
    path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    status, words = said(path)
    assert status == 2
    assert f"{path}, line 5, field 'subject_span': [0, 1] does not cut the subject out" in words


def test_facts_for_edit(said: Said, tmp_path: Path) -> None:
    path = tmp_path / "facts.jsonl"
    facts = [{"subject": "Greece", "prompt": "The main language of {} is", "target": "Dutch"} for _ in range(2)]
    facts[1]["prompt"] = "The capital of {} is"
    path.write_text("\n".join(map(json.dumps, facts)))
    assert said(path) == (0, f"{path}: data, 2 facts, read as facts")
    facts[1]["targt"] = facts[1].pop("target")
    path.write_text("\n".join(map(json.dumps, facts)))
    for words in ((), ("--as", "facts")):
        status, line = said(path, *words)
        assert status == 2
        assert f"{path}, line 2: unknown field 'targt': did you mean 'target'?" in line


def test_own_facts(said: Said, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows, path = own(tmp_path), tmp_path / "own.jsonl"
    capsys.readouterr()
    assert said(path) == (0, f"{path}: data, 2 cases, read as own")
    rows[1]["id"] = rows[0]["id"]
    path.write_text("\n".join(map(json.dumps, rows)))
    status, words = said(path, "--as", "own")
    assert status == 2
    assert ", line 2, field 'id': is the same as in record 1; take one of the two records out" in words
    (tmp_path / "qa.csv").write_text("question,answer\nWho wrote Faust?,Goethe\nWho wrote Emma?,\n")
    assert "field 'answer': is empty; fill it in (record 2, read as pairs;" in said(tmp_path / "qa.csv")[1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[{"a": 1},\n {"b":]', "line 2: not JSON: Expecting value; correct the quotes"),
        (
            '[{"a": 1}]',
            "line 1: no data set reads its records; name the data set that it is for: --as NAME, one of pocket",
        ),
        ("", "is empty"),
        ("\n \n", "is empty"),
    ],
)
def test_what_no_reader_takes(text: str, wanted: str, said: Said, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text(text)
    status, words = said(tmp_path / "odd.json")
    assert status == 2
    assert wanted in words


def test_bytes_that_are_no_text(said: Said, tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_bytes(b'[{"a":\n"\xff"}]')
    assert "line 2: is not UTF-8 text (byte 8); save it as UTF-8" in said(tmp_path / "odd.json")[1]


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (
            "pocket, form",
            "poket, form",
            "line 4, field 'dataset_kwargs': dataset_kwargs: unknown data set 'poket': did",
        ),
        (
            "doc_to_text:",
            "doc_to_txt:",
            "line 7, field 'doc_to_txt': unknown key 'doc_to_txt': did you mean 'doc_to_text'",
        ),
        ("prompt\ndoc", "'{{promt}}'\ndoc", "line 7, field 'doc_to_text': raised UndefinedError: 'promt' is undefined"),
        ("better: true", "better: false", "line 10, field 'metric_list': 'exact' is 1.0 for the expected answer"),
        (
            "metric_list:",
            "metric_list: [",
            "line 11: no YAML: expected the node content, but found '-'; check indentation",
        ),
        ("task: mine", "include: _gone\ntask: mine", "line 1, field 'include': _gone is not there"),
        (
            "task: mine",
            "task: negation_pocket_pos",
            "'negation_pocket_pos' is declared in negation_pocket_pos.yaml too",
        ),
        (
            "task: mine",
            "group: mine\ntask: [wild_pocket_quest]",
            "field 'task': unknown task 'wild_pocket_quest': did you",
        ),
        ("task: mine", "note: mine", "line 1: is neither a task, a group nor a file of presets; begin a task with"),
    ],
)
def test_tasks(old: str, new: str, wanted: str, said: Said, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = f"task: mine\n{CASE}"
    path.write_text(text)
    assert old in text
    path.write_text(text.replace(old, new, 1))
    status, words = said(path)
    assert status == 2
    assert wanted in words


def test_a_sound_task_in_a_folder_of_its_own(said: Said, tmp_path: Path) -> None:
    (tmp_path / "_case_yaml").write_text(CASE)
    (tmp_path / "mine.yaml").write_text("include: _case_yaml\ntask: mine\n")
    assert said(tmp_path / "mine.yaml")[0] == 0
    (tmp_path / "_case_yaml").write_text(CASE.replace("better: true", "better: false"))
    status, words = said(tmp_path / "mine.yaml")
    assert status == 2
    assert f"{tmp_path / '_case_yaml'}, line 9, field 'metric_list': " in words


ENTRY = "presets:\n  - name: a\n    model: m\n    match: {model_type: gpt2}\n    source: s\n    values: {layers: [1]}\n"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (
            "model_type",
            "model_typ",
            "line 4, field 'match.model_typ': unknown fact 'model_typ': did you mean 'model_type'",
        ),
        ("gpt2", "12", "line 4, field 'match.model_type': 'model_type' must be text"),
        ("source: s", "source: 7", "line 5, field 'source': 'source' must be text; an entry has name, model, match"),
        ("layers:", "layrs:", "line 6, field 'layrs': unknown option 'layrs': did you mean 'layers'?"),
        ("[1]", "[x]", "line 6, field 'layers': "),
        ("  - name: a", "  - x\n  - name: a", "line 2: entry 1 is no mapping; an entry has name"),
    ],
)
def test_presets(old: str, new: str, wanted: str, said: Said, tmp_path: Path) -> None:
    path = tmp_path / "memit.yaml"
    path.write_text(ENTRY)
    assert said(path) == (0, f"{path}: presets, 1 presets of memit")
    path.write_text(ENTRY.replace(old, new, 1))
    status, words = said(path)
    assert status == 2
    assert wanted in words


def test_records(said: Said, tmp_path: Path) -> None:
    raw = json.loads((next(RUN.glob("grace-*")) / "record.json").read_text(encoding="utf-8"))
    raw["rows"][1]["columns"][2]["n"] = "many"
    (tmp_path / "record.json").write_text(text := json.dumps(raw, indent=1))
    status, words = said(tmp_path)
    line = text[: text.index('"many"')].count("\n") + 1
    assert status == 2
    assert f"line {line}, field 'rows[1].columns[2].n': must be an integer, not text; restore the file" in words
    (tmp_path / "record.json").write_text(text.replace("{", "{,", 1))
    assert "line 1: not JSON: " in said(tmp_path)[1]


PLUGIN = """
from editharness import hookimpl
from editharness.judge import Judge, Verdict
from editharness.types import JudgeSpec


class Yes(Judge[None]):
    def verdicts(self, items):
        return [Verdict("correct") for item in items]


@hookimpl
def register_judges(register):
    register(JudgeSpec("yes", "yes", "yes_judge:Yes"))
"""


@pytest.mark.parametrize(
    ("old", "new", "status", "wanted"),
    [
        ("", "", 0, "plugin, offers judge 'yes'"),
        (
            "yes_judge:Yes",
            "yes_judge:Yess",
            2,
            "line 14, field 'ref': yes_judge:Yess cannot be imported: AttributeError",
        ),
        ("(Judge[None])", "", 2, "line 7, field 'yes': yes_judge:Yes is no class derived from editharness.judge.Judge"),
        ("class Yes", "1 / 0\nclass Yes", 2, "line 7: ZeroDivisionError: division by zero; docs/extending.md has one"),
        ("register_judges", "register_judgs", 2, "register_judgs"),
        ("@hookimpl", "", 2, "offers nothing: put @editharness.hookimpl above its register_ functions"),
    ],
)
def test_plugin_files(old: str, new: str, status: int, wanted: str, said: Said, tmp_path: Path) -> None:
    path = tmp_path / "yes_judge.py"
    path.write_text(PLUGIN.replace(old, new, 1) if old else PLUGIN)
    assert (found := said(path))[0] == status
    assert wanted in found[1]
    sys.modules.pop("yes_judge", None)


def test_files_that_are_none(said: Said, tmp_path: Path) -> None:
    assert said(tmp_path / "gone.json") == (2, f"{tmp_path / 'gone.json'}: no such file")
    assert said(tmp_path) == (2, f"{tmp_path}: is a folder; name a file in it")
    (tmp_path / "README.md").write_text("Read me.\n")
    assert "README.md: its name says nothing of what it is; say --as NAME for data" in said(tmp_path / "README.md")[1]
    (tmp_path / "zsre.json").write_text(json.dumps(zsre()))
    assert "unknown data set 'zre': did you mean 'zsre'? (in --as)" in said(tmp_path / "zsre.json", "--as", "zre")[1]


def test_one_fault_does_not_hide_the_next_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "zsre.json").write_text(json.dumps(zsre()))
    assert main(["validate", str(tmp_path / "gone.json"), str(tmp_path / "zsre.json")]) == 2
    assert "read as zsre" in capsys.readouterr().out
