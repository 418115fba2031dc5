from __future__ import annotations

import json
from pathlib import Path

import pytest

from editharness.data.load import load_cases
from editharness.data.own.build import Rules, build
from editharness.data.own.pairs import Pair
from editharness.errors import NotCachedError
from editharness.registry import load_plugins
from editharness.types import Skipped
from editharness_plugins.datasets import own

PAIRS = (
    Pair(1, "a", "Who is the mother of Ada Byron?", "Anne", aliases=("Annabella",), new_answer="Mary"),
    Pair(2, "b", "How old is Bo Peep?", "7", new_answer="8"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "cases.jsonl"
    lines = [json.dumps(case.to_json()) for case in build(PAIRS, Rules()).cases]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_the_question_is_asked(path: Path) -> None:
    found = own.load(path)
    case = found.cases[0]
    assert (case.id, case.prompt, case.question) == ("a", PAIRS[0].question, PAIRS[0].question)
    assert (case.subject_text, case.target, case.old, case.old_aliases) == ("Ada Byron", "Mary", "Anne", ("Annabella",))
    assert case.statement == "The mother of Ada Byron is {}"
    assert case.paraphrases == ("The mother of Ada Byron is who?",)
    assert case.neighbours[0].prompt == PAIRS[1].question
    assert found.quirks == {"subject by a rule": 2}


def test_the_completion_is_asked(path: Path) -> None:
    found = own.load_cloze(path)
    (case,) = found.cases
    assert (case.prompt, case.subject_text) == ("The mother of Ada Byron is", "Ada Byron")
    assert case.paraphrases == ('The answer to the question "Who is the mother of Ada Byron?" is',)
    assert found.skipped == (Skipped(2, "completion", "is empty: no rule made a statement of the question"),)


def test_what_the_check_finds_is_left_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"target": "Mary"', '"target": "Ada"', 1), encoding="utf-8")
    assert own.load(path).skipped == (Skipped(1, "question", "gives the answer 'Ada' away"),)


def test_it_is_read_by_name_and_asks_for_its_file(path: Path, tmp_path: Path) -> None:
    registry = load_plugins()
    assert len(load_cases(registry, "own", path).cases) == 2
    with pytest.raises(NotCachedError, match="pass --data own=PATH"):
        load_cases(registry, "own", cache=tmp_path, offline=True)
