from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editharness.errors import DataError
from editharness.types import Question
from editharness_plugins.datasets import zsre

MEND: dict[str, Any] = {
    "subject": "Ada ",
    "src": "What university did Ada attend?",
    "pred": "Oxford",
    "rephrase": "- Where did Ada study?",
    "alt": " Yale",
    "answers": ["Oxford", "Oxon"],
    "loc": "nq question: who wrote faust",
    "loc_ans": "Goethe",
    "portability": {"New Question": "In which town did Ada study?", "New Answer": "New Haven"},
}
KNOWEDIT: dict[str, Any] = {
    "subject": "Ada",
    "prompt": "What university did Ada attend?",
    "target_new": "Yale",
    "ground_truth": ["Oxford"],
    "rephrase_prompt": "Where was she taught?",
    "locality": {"Relation_Specificity": [{"prompt": "Ada is a citizen of", "ground_truth": ["Peru", "PE"]}]},
    "portability": {"Reasoning": [{"prompt": "In which town did Ada study?", "ground_truth": "New Haven"}]},
}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "zsre.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_mend_schema(tmp_path: Path) -> None:
    case = zsre.load(written(tmp_path, MEND)).cases[0]
    assert (case.id, case.prompt, case.subject_text) == ("zsre-1", "What university did Ada attend?", "Ada")
    assert (case.target, case.old, case.old_aliases, case.question) == ("Yale", "Oxford", ("Oxon",), case.prompt)
    assert case.paraphrases == ("Where did Ada study?",)
    assert case.neighbours == (Question("nq question: who wrote faust?", "Goethe"),)
    assert case.portability == (Question("In which town did Ada study?", "New Haven"),)


def test_mend_schema_as_rome_uses_it(tmp_path: Path) -> None:
    found = zsre.load_true(written(tmp_path, MEND))
    assert (found.cases[0].target, found.cases[0].target_aliases, found.cases[0].old) == ("Oxford", ("Oxon",), "")
    with pytest.raises(DataError, match="none of its 1 records fits; record 1: field 'src' is missing"):
        zsre.load_true(written(tmp_path, KNOWEDIT))


def test_knowedit_schema(tmp_path: Path) -> None:
    found = zsre.load(written(tmp_path, KNOWEDIT))
    case = found.cases[0]
    assert (case.target, case.old, case.prompt) == ("Yale", "Oxford", "What university did Ada attend?")
    assert case.neighbours == (Question("Ada is a citizen of", "Peru", ("PE",)),)
    assert case.portability == (Question("In which town did Ada study?", "New Haven"),)
    assert found.quirks == {"paraphrase lacks the subject": 1}


def test_cloze_variant(tmp_path: Path) -> None:
    case = zsre.load_cloze(written(tmp_path, KNOWEDIT | {"rephrase_prompt": "Where did Ada study?"})).cases[0]
    assert (case.prompt, case.subject_text) == ("The university Ada attended is", "Ada")
    assert case.question == "What university did Ada attend?"
    assert case.statement == "The university Ada attended is {}"
    assert case.paraphrases == ("The place where Ada studied is",)


def test_cloze_variant_quotes_what_it_does_not_understand(tmp_path: Path) -> None:
    found = zsre.load_cloze(written(tmp_path, KNOWEDIT | {"prompt": "How did Ada die?"}))
    assert found.cases[0].prompt == 'The answer to the question "How did Ada die?" is'
    assert found.cases[0].paraphrases == ('The answer to the question "Where was she taught?" is',)
    assert found.quirks["question quoted in the prompt"] == 1


def test_a_target_among_the_old_answers_is_no_edit(tmp_path: Path) -> None:
    found = zsre.load(written(tmp_path, MEND, MEND | {"alt": "oxon"}))
    assert [(one.record, one.reason) for one in found.skipped] == [(2, "'oxon' is the old answer")]


def test_neither_schema_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="field 'src' is missing, and so is 'prompt'"):
        zsre.load(written(tmp_path, {"subject": "Ada"}))


def test_real_knowedit_file(reference: Path) -> None:
    path = reference / "data/zsre/ZsRE-test-all.json"
    found = zsre.load(path)
    assert (len(found.cases), len(found.skipped)) == (1244, 60)
    assert sum(one.reason.endswith("is the old answer") for one in found.skipped) == 43
    assert found.quirks == {
        "conflict": 10,
        "duplicate prompt": 7,
        "paraphrase lacks the subject": 87,
        "paraphrase with a list mark": 8,
        "prompt not ASCII": 91,
        "several old answers": 25,
    }
    assert len(zsre.load_cloze(path).cases) == 1241


def test_real_mend_file(reference: Path) -> None:
    path = reference / "data/zsre/zsre_mend_eval_portability_gpt4.json"
    found = zsre.load(path)
    assert (len(found.cases), len(found.skipped)) == (1008, 29)
    assert {one.reason[-17:] for one in found.skipped} == {"is the old answer"}
    assert found.quirks["paraphrase with a list mark"] == 4
    assert len(zsre.load_cloze(path).cases) == 1003
    assert (len(zsre.load_true(path).cases), len(zsre.load_true(path).skipped)) == (1037, 0)
