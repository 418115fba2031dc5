from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from editharness.data.cases import collect, fill, find_subject, paraphrases, questions
from editharness.data.records import Record, RecordFault
from editharness.errors import DataError
from editharness.types import Case, CaseSet


def read(record: Record, quirks: Counter[str]) -> Iterable[Case]:
    prompt, span = fill(record.text("prompt"), record.text("subject"))
    yield Case(record.optional("id", f"t-{record.number}"), prompt, span, record.text("target"), record.optional("old"))


def collected(folder: Path, *rows: dict[str, Any]) -> CaseSet:
    path = folder / "cases.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return collect("toy", path, read)


def row(**changes: Any) -> dict[str, Any]:
    return {"prompt": "{} is in", "subject": "Rome", "target": "Peru", "old": "Italy"} | changes


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"target": "  "}, "target", "is empty"),
        ({"target": ")"}, "target", "')' has no letter or digit"),
        ({"target": "🀁"}, "target", "'🀁' has no letter or digit"),
        ({"target": " italy "}, "target", "'italy' is the old answer"),
        ({"prompt": "Paris is in"}, "subject", "'Rome' does not occur in the prompt"),
        ({"prompt": "{} is {} in"}, "prompt", "'{} is {} in' holds {} more than once"),
        ({"subject": " "}, "subject", "is empty"),
        ({"subject": " ", "prompt": "Rome is"}, "subject", "is empty"),
        ({"target": None}, "target", "is null, not text"),
    ],
)
def test_a_record_that_cannot_be_used_is_named_and_the_rest_kept(
    tmp_path: Path, changes: dict[str, Any], field: str, reason: str
) -> None:
    found = collected(tmp_path, row(subject="Lima"), row(**changes))
    assert [case.id for case in found.cases] == ["t-1"]
    assert [(one.record, one.field, one.reason) for one in found.skipped] == [(2, field, reason)]


def test_none_fits_is_an_error_that_names_the_first(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of its 2 records fits; record 1: field 'target' is empty") as caught:
        collected(tmp_path, row(target=""), row(target="!"))
    assert "cases.json" in str(caught.value)


def test_the_first_of_equal_prompts_stays_and_conflicts_are_counted(tmp_path: Path) -> None:
    found = collected(tmp_path, row(), row(target="peru"), row(target="Chad"))
    assert [case.target for case in found.cases] == ["Peru"]
    assert found.quirks == {"conflict": 1, "duplicate prompt": 1}
    assert [one.reason for one in found.skipped] == ["came before", "came before with another target"]


def test_a_refused_record_does_not_shut_out_a_later_good_one(tmp_path: Path) -> None:
    found = collected(tmp_path, row(target=""), row())
    assert [case.id for case in found.cases] == ["t-2"]
    assert found.quirks == {}


def test_repeated_ids_stay_apart(tmp_path: Path) -> None:
    found = collected(tmp_path, row(id="a"), row(id="a", subject="Lima"))
    assert [case.id for case in found.cases] == ["a", "a.2"]
    assert found.quirks == {"repeated id": 1}


def test_answers_inside_the_subject_are_tagged(tmp_path: Path) -> None:
    found = collected(tmp_path, row(subject="Apple A5", old="apple"), row(subject="Peru plum", old=""))
    assert [case.tags for case in found.cases] == [{"answer_in_subject"}, {"target_in_subject"}]


def test_spaces_are_collapsed_before_the_subject_is_sought(tmp_path: Path) -> None:
    case = collected(tmp_path, row(prompt=" The  town Rome\tis in ", subject="Rome ", target=" Peru\n")).cases[0]
    assert (case.prompt, case.subject, case.subject_text, case.target) == (
        "The town Rome is in",
        (9, 13),
        "Rome",
        "Peru",
    )


def test_the_subject_is_sought_as_whole_words_first() -> None:
    assert find_subject("This film Is", "Is") == (10, 12)
    assert find_subject("the {x} (y)?", "(y)") == (8, 11)
    assert find_subject("Rom's unromantic Romans", "oman") == (9, 13)  # nowhere a whole word: the first place


@settings(deadline=None)
@given(st.text(max_size=20), st.text(min_size=1, max_size=10), st.text(max_size=20))
def test_a_template_is_filled_where_it_says(before: str, name: str, after: str) -> None:
    template = before + "{}" + after
    if template.count("{}") > 1:
        with pytest.raises(RecordFault):
            fill(template, name)
    else:
        prompt, (start, end) = fill(template, name)
        assert (prompt[:start], prompt[start:end], prompt[end:]) == (before, name, after)


def test_paraphrases_lose_marks_repetitions_and_the_prompt_itself() -> None:
    quirks: Counter[str] = Counter()
    assert paraphrases("p", ["- a", "a", "p", ""], quirks) == ("a",)
    assert +quirks == {"paraphrase with a list mark": 1, "paraphrase equals prompt": 1}


def test_probes_without_prompt_or_answer_are_counted() -> None:
    quirks: Counter[str] = Counter()
    kept = questions([("q", ("a", "", "b")), ("", ("a",)), ("q", ("",)), ("q", ())], quirks)
    assert [(one.prompt, one.answer, one.aliases) for one in kept] == [("q", "a", ("b",))]
    assert quirks == {"probe without prompt or answer": 3}
