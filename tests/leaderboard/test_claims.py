from __future__ import annotations

import csv
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from editharness.errors import DataError
from editharness.leaderboard.claims import FILES, Claim, read_claims, reported_folder
from editharness.registry import load_plugins

CLAIMS = read_claims()


def one(**wanted: str) -> Claim:
    (found,) = [c for c in CLAIMS if all(getattr(c, k) == v for k, v in wanted.items()) and not c.settings.options]
    return found


def copied(folder: Path, file: str, old: str, new: str) -> Path:
    """All files, one of them with one text replaced."""
    target = folder / "reported"
    shutil.copytree(reported_folder(), target)
    text = (target / file).read_text(encoding="utf-8")
    assert old in text
    (target / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return target


def test_every_figure_of_every_file_is_a_claim() -> None:
    cells = 0
    for file, columns in FILES.items():
        with (reported_folder() / f"{file}.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        figures = [c for c in columns if c in ("value", "reliability")] or columns[3:]
        cells += sum(row[column] != "" for row in rows for column in figures)
    assert len(CLAIMS) == cells == 1543


def test_a_figure_has_its_papers_settings() -> None:
    claim = one(protocol="negation", method="memit", column="PN", model="Llama-3-8B-Instruct", data="mcf")
    assert claim.value == pytest.approx(0.694)
    s = claim.settings
    assert (s.paper, s.table, s.schedule, s.edits, s.preset) == ("arXiv 2510.00625", "2", "batch:100", 2000, "sand")


def test_wild_tables_keep_their_numbers_and_single_editing_its_cases() -> None:
    found = {
        (c.settings.table, c.settings.schedule, c.settings.edits)
        for c in CLAIMS
        if c.protocol == "wild" and c.data == "qaedit" and c.model == "Llama-3-8b"
    }
    assert found == {
        ("3", "single", 10467),
        ("11", "single", 10467),
        ("9", "sequential", 1000),
        ("12", "sequential", 1000),
    }


def test_names_are_ours() -> None:
    claim = one(protocol="negation", method="none*", column="rectified", model="Qwen2.5-7B-Instruct", data="wcf")
    assert claim.value == pytest.approx(0.989)
    assert "Qwen/Qwen2.5-7B-Instruct" in claim.models
    assert {c.data_names for c in CLAIMS if c.data == "counterfact"} == {("counterfact", "mcf")}


def test_what_follows_from_other_figures_is_computed_and_the_misprint_kept() -> None:
    wrong = Counter((c.model.split("-")[0], c.column) for c in CLAIMS if c.printed is not None)
    assert wrong == {("Llama", "rectified"): 2, ("Llama", "PP-PN"): 1, ("Qwen2.5", "rectified"): 11}
    claim = one(protocol="negation", method="pmet", column="rectified", model="Llama-3-8B-Instruct", data="zsre")
    assert (claim.value, claim.printed) == (0.063, 0.094)


def test_efficacy_of_the_fact_checks_repeats_the_negation_tables() -> None:
    """The paper prints PP twice; two rows disagree, and the folder's README names them."""
    plain = {(c.model, c.data, c.method): c.value for c in CLAIMS if c.column == "PP" and not c.settings.options}
    twice = [c for c in CLAIMS if c.column == "efficacy"]
    wrong = [(c.model, c.data, c.method) for c in twice if plain.get((c.model, c.data, c.method)) != c.value]
    assert wrong == [
        ("Qwen2.5-7B-Instruct", "mquake", "alphaedit"),
        ("Llama-3-8B-Instruct", "zsre", "memit"),
    ]


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("negation.csv", "15.4", "15,4", "negation.csv line 2: 13 fields instead of 12"),
        ("negation.csv", "15.4", "15.4%", "negation.csv line 2: field 'pn' is '15.4%', not a number"),
        ("wild.csv", "1.000", "100", "wild.csv line 2: field 'value' is 100, not from 0 to 1"),
        ("wild.csv", ",synthetic,", ",real,", "line 2: field 'evaluation' is 'real', not one of synthetic, wild"),
        ("settings.csv", "2000", "many", "settings.csv line 2: field 'edits' is 'many', not a whole number"),
        ("settings.csv", "wild_modules,", "modules,", "wild_modules.csv line 2: 0 rows of settings.csv fit it"),
        ("names.csv", "column,", "colum,", "names.csv line 2: field 'kind' is 'colum', not one of column, method"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, file: str, old: str, new: str, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read_claims(copied(tmp_path, file, old, new))


def test_our_copy_is_the_reference_but_for_the_rows_that_were_shifted(reference: Path) -> None:
    """In the reference, table 3's WCF rows of Qwen2.5 stand one column to the right and lack their average."""
    for file in FILES:
        ours = (reported_folder() / f"{file}.csv").read_text(encoding="utf-8").splitlines()
        theirs = (reference / "reported" / f"{file}.csv").read_text(encoding="utf-8").splitlines()
        changed = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
        assert all(a.startswith("Qwen2.5-7B-Instruct,wcf,") for a, _ in changed)
        assert len(changed) == (10 if file == "negation" else 0)
        for a, b in changed[1:]:
            assert b.split(",")[3:] == ["", *a.split(",")[3:-1]]


def test_every_figure_has_a_column_here_but_those_scored_by_a_language_model() -> None:
    registry = load_plugins()
    strange = set()
    for protocol in {claim.protocol for claim in CLAIMS}:
        known = set(registry.resolve(registry.protocols[protocol].spec.ref).glossary)
        strange |= {claim.column for claim in CLAIMS if claim.protocol == protocol} - known
    assert len(strange) == 6
    assert all("LLM-as-a-Judge" in column for column in strange)


def test_modules_are_named_by_their_switches() -> None:
    found = {c.column: c.value for c in CLAIMS if c.protocol == "modules" and c.method == "ft-m" and "/" in c.column}
    table_4 = {"free/forced/length/match": 1.0, "guided/forced/length/match": 0.937}
    assert {name: found[name] for name in table_4} == table_4
    assert len(found) == 6


def test_a_figure_that_two_tables_print_is_the_same_in_both() -> None:
    printed: dict[tuple[object, ...], set[float]] = {}
    for c in CLAIMS:
        key = (c.protocol, c.method, c.column, c.model, c.data, replace(c.settings, table=""))
        printed.setdefault(key, set()).add(c.value)
    assert len(printed) < len(CLAIMS)
    assert {len(values) for values in printed.values()} == {1}


def test_scores_by_another_companys_model_never_count_as_the_same_setting() -> None:
    for claim in CLAIMS:
        assert (claim.settings.elsewhere == "scorer") == ("GPT" in claim.settings.scorer) == (claim.protocol == "wild")
