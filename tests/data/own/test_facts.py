from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from editharness.cli import main
from editharness.data.own.facts import check_facts, holds_facts, read_facts
from editharness.errors import DataError

KENYA = {"subject": "Kenya", "prompt": "The capital of {} is", "target": "Rome"}


def file(folder: Path, *records: Any) -> Path:
    path = folder / "facts.jsonl"
    lines = [record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_facts_become_cases(tmp_path: Path) -> None:
    whole = {"id": 7, "subject": "Ada", "prompt": "Q: Who is the mother of Ada?\nA:", "target": " Anne ", "old": "Bea"}
    one, two = read_facts(file(tmp_path, KENYA, whole)).cases
    assert (one.id, one.prompt, one.subject_text, one.target) == ("1", "The capital of Kenya is", "Kenya", "Rome")
    assert (two.id, two.subject_text, two.target, two.old) == ("7", "Ada", "Anne", "Bea")
    assert two.prompt == "Q: Who is the mother of Ada?\nA:", "the line end belongs to the prompt"


def test_a_json_array_will_do_as_well(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps([KENYA]), encoding="utf-8")
    assert len(read_facts(path).cases) == 1
    assert read_facts(path).sha256 != read_facts(file(tmp_path, KENYA)).sha256


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"subject": "Kenya", "target": "Rome"}, "record 2: field 'prompt' is missing"),
        ({**KENYA, "target": " "}, "record 2: field 'target' is empty"),
        ({**KENYA, "target": "!"}, "record 2: field 'target' '!' has no letter or digit"),
        ({**KENYA, "target": 3}, "record 2: field 'target' is a number, not text"),
        ({**KENYA, "old": "rome"}, "record 2: field 'target' 'Rome' is the old answer"),
        ({**KENYA, "prompt": "The capital is"}, "record 2: field 'subject' 'Kenya' does not occur in the prompt"),
        ({**KENYA, "prompt": "{} and {}"}, "record 2: field 'prompt' '{} and {}' holds {} more than once"),
        ({**KENYA, "prompt": "{}"}, "record 2: field 'prompt' is the subject alone"),
        ({**KENYA, "subjct": "a"}, "record 2: unknown field 'subjct': did you mean 'subject'? (of a fact)"),
        ({**KENYA, "target": "Oslo"}, "record 2: field 'prompt' came before, in record 1 with the target 'Rome'"),
        ({**KENYA, "subject": "Peru", "id": 1}, "record 2: field 'id' '1' came before, in record 1"),
        ('{"subject": "Kenya"', "record 2: not JSON: Expecting ',' delimiter (line 2, column 20)"),
        ("[]", "record 2: is a list"),
    ],
)
def test_the_first_record_that_is_wrong_is_named(tmp_path: Path, wrong: Any, line: str) -> None:
    path = file(tmp_path, KENYA, wrong)
    with pytest.raises(DataError) as caught:
        read_facts(path)
    assert str(caught.value).startswith(f"{path}: {line}")
    assert "\n" not in str(caught.value)
    count, found = check_facts(path)
    assert (count, [one.record for one in found]) == (2, [2])


def test_how_many_more_are_wrong_is_said(tmp_path: Path) -> None:
    path = file(tmp_path, KENYA, {**KENYA, "target": ""}, {**KENYA, "prompt": ""})
    with pytest.raises(DataError, match=r"\(2 of 3 records are wrong: editharness data check\)"):
        read_facts(path)


def test_data_check_knows_facts_from_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = file(tmp_path, KENYA), tmp_path / "bad.jsonl"
    assert holds_facts(good)
    assert main(["data", "check", str(good)]) == 0
    assert "1 records, all in order" in capsys.readouterr().out
    bad.write_text(json.dumps({**KENYA, "target": ""}) + "\n" + json.dumps({**KENYA, "promt": "x"}))
    assert main(["data", "check", str(bad)]) == 1
    out, err = capsys.readouterr()
    assert "2 records, 2 with problems" in out
    assert err.splitlines() == [
        "record 1: field 'target' is empty",
        "record 2: unknown field 'promt': did you mean 'prompt'? (of a fact)",
    ]
