from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from editharness.types import Question
from editharness_plugins.datasets import wcf

TEXTS: dict[str, Any] = {
    "subject": "Ada",
    "prompt": "The gender of Ada is",
    "target_new": "male",
    "ground_truth": "female",
    "portability": {"Subject_Aliasing": [{"prompt": "The gender of Countess Ada is", "ground_truth": "male"}]},
    "locality": {
        "Relation_Specificity": [{"prompt": "The father of Ada is", "ground_truth": "Byron"}],
        "Forgetfulness": [{"prompt": "The gender of Ada, which is not male, is", "ground_truth": "female"}],
    },
}
LISTS: dict[str, Any] = {
    "subject": "Ada",
    "prompt": "The name of the award Ada won is",
    "target_new": "Nobel Prize",
    "ground_truth": [["Turing Award", "ACM Turing Award"], ["Oscar"]],
    "rephrase": "Which award did Ada win?",
    "portability": {"Reasoning": [{"prompt": "It is given by", "ground_truth": [["Sweden", "SE"]]}]},
    "locality": {},
}


def written(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "wcf.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_answers_as_texts_and_the_gender_tag(tmp_path: Path) -> None:
    found = wcf.load(written(tmp_path, TEXTS))
    case = found.cases[0]
    assert (case.id, case.target, case.old, case.tags) == ("wcf-1", "male", "female", frozenset({"gender"}))
    assert [one.answer for one in case.neighbours] == ["Byron", "female"]
    assert case.portability == (Question("The gender of Countess Ada is", "male"),)
    assert case.statement == "The gender of Ada is {}"
    assert found.quirks == {"gender": 1}


def test_answers_as_lists_of_alias_lists(tmp_path: Path) -> None:
    found = wcf.load(written(tmp_path, LISTS))
    case = found.cases[0]
    assert (case.old, case.old_aliases) == ("Turing Award", ("ACM Turing Award", "Oscar"))
    assert case.portability == (Question("It is given by", "Sweden", ("SE",)),)
    assert (case.paraphrases, case.tags) == (("Which award did Ada win?",), frozenset())
    assert found.quirks == {"no locality": 1}


def test_an_empty_old_answer_and_an_empty_probe_are_counted(tmp_path: Path) -> None:
    probe = {"Reasoning": [{"prompt": "Its capital is", "ground_truth": ""}]}
    found = wcf.load(written(tmp_path, TEXTS | {"ground_truth": "", "portability": probe}))
    assert (found.cases[0].old, found.cases[0].portability) == ("", ())
    assert found.quirks == {"gender": 1, "no old answer": 1, "probe without prompt or answer": 1}


def test_an_unchanged_gender_is_no_edit(tmp_path: Path) -> None:
    found = wcf.load(written(tmp_path, LISTS, TEXTS | {"target_new": "female"}))
    assert [(one.record, one.reason) for one in found.skipped] == [(2, "'female' is the old answer")]


def test_long_targets_and_full_stops_are_counted(tmp_path: Path) -> None:
    found = wcf.load(written(tmp_path, LISTS | {"target_new": "one two three four five six seven eight Inc."}))
    assert found.quirks == {"no locality": 1, "target ends in a full stop": 1, "target over 8 words": 1}


def test_real_file(reference: Path) -> None:
    found = wcf.load(reference / "data/wcf/train_cf.json")
    assert (len(found.cases), len(found.skipped)) == (1411, 17)
    assert found.quirks == {
        "duplicate prompt": 11,
        "gender": 266,
        "no old answer": 1,
        "no portability": 8,
        "probe without prompt or answer": 2,
        "prompt not ASCII": 257,
        "target ends in a full stop": 4,
        "target over 8 words": 19,
    }
    assert Counter(tag for case in found.cases for tag in case.tags)["gender"] == 258
