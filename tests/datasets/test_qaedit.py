from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editharness.types import Question
from editharness_plugins.datasets import qaedit

ROW: dict[str, Any] = {
    "id": 3,
    "source": "NQ",
    "prompt": "Who wrote Faust?",
    "subject": "Faust",
    "target": "Goethe",
    "rephrase": "Which poet is behind Faust?",
    "locality": [{"loc": "who found radium", "loc_ans": "Curie"}],
}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "qaedit.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_schema(tmp_path: Path) -> None:
    found = qaedit.load(written(tmp_path, ROW))
    case = found.cases[0]
    assert (case.id, case.prompt, case.question) == ("qaedit-NQ-3", "Who wrote Faust?", "Who wrote Faust?")
    assert (case.subject_text, case.target, case.old) == ("Faust", "Goethe", "")
    assert case.neighbours == (Question("who found radium", "Curie"),)
    assert found.quirks == {}


def test_cloze_variant_quotes_every_question(tmp_path: Path) -> None:
    case = qaedit.load_cloze(written(tmp_path, ROW)).cases[0]
    assert case.prompt == 'The answer to the question "Who wrote Faust?" is'
    assert case.subject_text == "Faust"
    assert case.statement == case.prompt + " {}"
    assert case.paraphrases == ('The answer to the question "Which poet is behind Faust?" is',)
    assert case.question == "Who wrote Faust?"


def test_doubled_quotes_are_undone_in_prompt_and_subject(tmp_path: Path) -> None:
    found = qaedit.load(written(tmp_path, ROW | {"prompt": 'Who wrote ""Faust""?', "subject": '""Faust""'}))
    assert (found.cases[0].prompt, found.cases[0].subject_text) == ('Who wrote "Faust"?', '"Faust"')
    assert found.quirks == {"doubled quotes": 1}


@pytest.mark.parametrize(
    ("changes", "quirk"),
    [
        ({"target": "Goethe *"}, "footnote sign"),
        ({"prompt": "who wrote Faust"}, "no question mark"),
        ({"prompt": "who wrote faust?", "subject": "faust"}, "lower case"),
        ({"target": "J. W."}, "target ends in a full stop"),
        ({"target": "a b c d e f g h i"}, "target over 8 words"),
    ],
)
def test_quirks_are_counted(tmp_path: Path, changes: dict[str, Any], quirk: str) -> None:
    found = qaedit.load(written(tmp_path, ROW | changes))
    assert found.quirks == {quirk: 1}
    assert not found.cases[0].target.endswith("*")


def test_ids_are_told_apart_by_their_source(tmp_path: Path) -> None:
    other = ROW | {"source": "TQA", "prompt": "Who set Faust to music?"}
    assert [case.id for case in qaedit.load(written(tmp_path, ROW, other)).cases] == ["qaedit-NQ-3", "qaedit-TQA-3"]


def test_a_target_of_signs_only_is_skipped(tmp_path: Path) -> None:
    found = qaedit.load(written(tmp_path, ROW, ROW | {"target": "⒠"}))
    assert [(one.record, one.field) for one in found.skipped] == [(2, "target")]


def test_real_file(reference: Path) -> None:
    found = qaedit.load(reference / "data/qaedit/QAEdit_inter_1k.json")
    assert (len(found.cases), len(found.skipped)) == (997, 3)
    assert found.quirks == {
        "doubled quotes": 26,
        "footnote sign": 1,
        "lower case": 248,
        "no question mark": 62,
        "target ends in a full stop": 38,
        "target over 8 words": 11,
    }
