from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tests.export.models import base, made, opened

from editharness.errors import RecordError, UsageError
from editharness.export.card import SHOWN, write_card
from editharness.export.provenance import EditedFact, base_of, read_provenance, write_provenance
from editharness.export.scores import check_scored, read_scored
from editharness.registry import load_plugins
from editharness.store import read_record

RUN = Path(__file__).parents[2] / "leaderboards" / "results" / "negation_pocket" / "memit-2634ca47bb"


def front(text: str) -> dict[str, object]:
    found = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(found, dict)
    return found


def test_a_card_says_what_where_from_and_with_what(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    write_card(tmp_path, "checkpoint", made(loaded), notes=("a note",))
    text = (tmp_path / "README.md").read_text()
    assert front(text) == {
        "library_name": "transformers", "pipeline_tag": "text-generation", "tags": ["knowledge-editing", "editharness"],
    }  # fmt: skip
    for words in (
        "1 fact was written into the weights of tiny by MEMIT (arXiv 2210.07229)",
        "| Kenya | The capital of Kenya is | Rome |",
        f"weights {loaded.digest[:12]}", "licence of the base: not known here", "preset: paper (somewhere)\n",
        "options: layers \\[1\\]", "torch 2", "- a note", "weights with the edit: cdcdcdcdcdcd", "sha256 abababababab",
    ):  # fmt: skip
        assert words in text
    assert "## Scores" not in text


def test_hub_and_licence_reach_the_metadata_where_they_are_known(tmp_path: Path) -> None:
    from dataclasses import replace

    loaded = opened(tmp_path / "base", "llama")
    known = replace(base(loaded), name="meta-llama/Llama-3.2-1B", licence="llama3.2", hub=True)
    write_card(tmp_path, "adapter", made(loaded, base=known, preset="", preset_source="", tuned=False))
    text = (tmp_path / "README.md").read_text()
    assert front(text)["base_model"] == "meta-llama/Llama-3.2-1B"
    assert front(text)["license"] == "llama3.2"
    assert front(text)["library_name"] == "peft"
    assert "preset: none; untuned" in text


def test_a_models_own_card_tells_its_licence(tmp_path: Path) -> None:
    loaded = opened(tmp_path / "base", "llama")
    registry = load_plugins()
    assert base_of(loaded, "float32", registry).licence == ""
    (tmp_path / "base" / "README.md").write_text("---\nlicense: mit\n---\n# Tiny\n")
    assert base_of(loaded, "float32", registry).licence == "mit"
    assert base_of(loaded, "float32", registry).name == "base", "no folder of this machine"
    for odd in ("---\nlicense: [a\n---\n", "---\n", "---\nlicense: [a, b]\n---\n"):
        (tmp_path / "base" / "README.md").write_text(odd)
        assert base_of(loaded, "float32", registry).licence == ""


def test_what_strangers_wrote_ends_no_cell_and_makes_no_tag(tmp_path: Path) -> None:
    nasty = EditedFact("1", "a | b", "<script>\x1b[31m\n# Title", "`x`", "failed", "[no](http://e)")
    write_card(tmp_path, "patch", made(opened(tmp_path / "base", "llama"), facts=(nasty,)))
    (line,) = [line for line in (tmp_path / "README.md").read_text().splitlines() if "script" in line]
    assert line == r"| a \| b | \<script\>?\[31m # Title | \`x\` | failed: \[no\](http://e) |"


def test_many_facts_are_counted_and_kept_beside(tmp_path: Path) -> None:
    facts = tuple(EditedFact(str(i), "s", f"prompt {i}", "t", "done") for i in range(SHOWN + 5))
    told = made(opened(tmp_path / "base", "llama"), facts=facts)
    write_card(tmp_path, "checkpoint", told)
    text = (tmp_path / "README.md").read_text()
    assert text.count("| s | prompt ") == SHOWN
    assert "5 more are in it" in text
    write_provenance(tmp_path, told)
    found = read_provenance(tmp_path)
    assert found is not None
    assert found.facts == facts


def test_provenance_comes_back_or_says_what_is_wrong(tmp_path: Path) -> None:
    told = made(opened(tmp_path / "base", "llama"))
    assert read_provenance(tmp_path) is None
    write_provenance(tmp_path, told)
    assert read_provenance(tmp_path) == told
    path = tmp_path / "export.json"
    raw = json.loads(path.read_text())
    for text, line in [
        ("{", "cannot be read"), ("[]", "is no description of an export"),
        (json.dumps({**raw, "version": 9}), "version 9"),
        (json.dumps({**raw, "method": 3}), "is not whole: method is int, not str"),
        (json.dumps({**raw, "base": {**raw["base"], "name": ["a"]}}), "is not whole: name is list, not str"),
        (json.dumps({**raw, "more": 1}), "is not whole"), (json.dumps({**raw, "facts": [1]}), "is not whole"),
        (json.dumps({key: raw[key] for key in raw if key != "base"}), "is not whole"),
    ]:  # fmt: skip
        path.write_text(text)
        with pytest.raises(RecordError, match=line):
            read_provenance(tmp_path)


def test_scores_are_the_records(tmp_path: Path) -> None:
    loaded, record = opened(tmp_path / "base", "llama"), read_record(RUN / "record.json")
    assert read_scored(RUN) == record
    write_card(tmp_path, "checkpoint", made(loaded), record=record)
    text = (tmp_path / "README.md").read_text().partition("## Scores")[2]
    assert "| PP: positive edit, asked plainly | 93.0 | [86.3, 96.6] | 100 | higher |" in text
    assert "on negation_pocket with 100 edits of data set pocket" in text
    assert record.command in text


def test_a_record_of_something_else_is_refused(tmp_path: Path) -> None:
    loaded, record = opened(tmp_path / "base", "llama"), read_record(RUN / "record.json")
    check_scored(record, "memit")
    with pytest.raises(UsageError, match="is of method 'memit', not 'rome'"):
        check_scored(record, "rome")
    with pytest.raises(UsageError, match="is of a model with weights a09f5ccc3287"):
        check_scored(record, "memit", base(loaded))
    with pytest.raises(UsageError, match=r"\d+ records stand below it; name the folder of one"):
        read_scored(RUN.parent)
