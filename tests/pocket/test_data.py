"""Pocket's facts: schema, types, duplicates, leaks, splits; and that the builder makes the file as it stands."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import Any

import jsonschema
import pytest

from editharness_plugins.datasets.pocket import load
from editharness_plugins.pocket.build import FORMS, make_cases
from editharness_plugins.pocket.corpus import read_cases
from editharness_plugins.pocket.relations import HERE, load_relations, load_yaml

CASES = read_cases()
BY_RELATION: dict[str, list[dict[str, Any]]] = defaultdict(list)
for _case in CASES:
    BY_RELATION[_case["relation"]].append(_case)


def test_there_are_a_thousand_trained_facts_over_twelve_relations() -> None:
    trained = [case for case in CASES if case["trained"]]
    assert len(trained) >= 1000
    assert len({case["relation"] for case in trained}) >= 12
    assert {case["relation_kind"] for case in trained} == {"one_to_one", "many_to_one"}


def test_every_case_fits_the_schema() -> None:
    schema = json.loads((HERE / "pocket.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for case in CASES for error in validator.iter_errors(case)] == []


def test_a_case_of_the_wrong_shape_does_not_fit_the_schema() -> None:
    schema = json.loads((HERE / "pocket.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    for broken in ({"target": ""}, {"subject_span": [1]}, {"split": "all"}, {"extra": 1}, {"paraphrases": ["one"]}):
        assert not validator.is_valid({**CASES[0], **broken}), broken


def test_the_builder_makes_the_file_as_it_stands() -> None:
    assert list(make_cases()) == CASES


def test_no_case_stands_twice() -> None:
    assert not [k for k, n in Counter(case["id"] for case in CASES).items() if n > 1]
    assert not [k for k, n in Counter(case["prompt"] for case in CASES).items() if n > 1]
    pairs = Counter((case["relation"], case["subject"]) for case in CASES)
    assert not [k for k, n in pairs.items() if n > 1]


@pytest.mark.parametrize("relation", sorted(BY_RELATION))
def test_targets_are_wrong_answers_of_the_same_type(relation: str) -> None:
    cases = BY_RELATION[relation]
    pool = {case["old"] for case in cases}
    assert len(pool) >= 5
    for case in cases:
        assert case["target"] in pool
        assert case["target"] not in (case["old"], *case["old_aliases"])


@pytest.mark.parametrize("relation", sorted(BY_RELATION))
def test_no_target_is_the_modal_guess(relation: str) -> None:
    cases = BY_RELATION[relation]
    uses = Counter(case["target"] for case in cases)
    # each answer is a target about equally often
    assert max(uses.values()) <= len(cases) / len({case["old"] for case in cases}) + 2


def test_no_answer_leaks_into_a_prompt() -> None:
    def words(text: str) -> set[str]:
        return {word for word in re.findall(r"\w+", text.casefold()) if len(word) >= 4}

    symbol = "element_symbol"  # a symbol is made of letters of the name; it must not stand there as a word
    for case in CASES:
        for answer in (case["old"], case["target"]):
            prompts = [case["prompt"], case["negated_prompt"], case["question"], *case["paraphrases"]]
            asked = " ".join(prompts).replace(case["subject"], " ")
            assert not words(answer) & words(case["subject"]), case["id"]
            assert not re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", asked + " " + case["subject"]), case["id"]
            if case["relation"] != symbol:
                assert answer.casefold() not in case["subject"].casefold(), case["id"]


def test_the_subject_stands_where_the_span_says_and_negation_leaves_it_untouched() -> None:
    for case in CASES:
        start, end = case["subject_span"]
        assert case["prompt"][start:end] == case["subject"]
        assert case["negated_prompt"].startswith(case["prompt"][:end]), case["id"]
        assert case["negated_prompt"] != case["prompt"]


def test_a_subject_is_in_one_split() -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for case in CASES:
        splits[case["subject"]].add(case["split"])
    assert {len(found) for found in splits.values()} == {1}
    shares = Counter(case["split"] for case in CASES)
    assert shares["test"] > shares["train"] > shares["dev"] > 50


def test_every_trained_fact_misses_one_form_and_one_relation_is_held_out() -> None:
    assert {case["missing_form"] for case in CASES if case["trained"]} == set(FORMS)
    assert {case["relation"] for case in CASES if not case["trained"]} == {"landmark_country"}


def test_neighbours_are_other_subjects_with_true_answers() -> None:
    true = {case["prompt"]: case["old"] for case in CASES}
    for case in CASES:
        assert case["neighbours"]
        for near in case["neighbours"]:
            assert near["prompt"] != case["prompt"]
            assert true[near["prompt"]] == near["answer"]


def test_two_hop_questions_follow_from_the_edited_fact() -> None:
    composed = [case for case in CASES if case["portability"]]
    assert len(composed) >= 150
    relations = load_relations()
    for case in composed:
        reachable = {
            hit.answer
            for _, via in relations[case["relation"]].twohop
            if (hit := relations[via].find(case["target"])) is not None
        }
        assert {hop["answer"] for hop in case["portability"]} <= reachable


def test_held_out_wordings_are_in_no_training_wording() -> None:
    for name, relation in load_relations().items():
        trained = {t for form, ts in relation.wordings.items() if not form.startswith("held_out") for t in ts}
        assert not trained & set(relation.wordings["held_out_paraphrase"]), name
    forms = load_yaml()["forms"]
    assert forms["held_out_true_false"] not in (forms["true_false"], *forms["train_true_false"])


def test_the_reader_takes_every_case_in_a_fair_order() -> None:
    found = load(HERE / "pocket.jsonl")
    assert (len(found.cases), found.skipped) == (len(CASES), ())
    assert len({case.relation for case in found.cases[:100]}) >= 12


def test_training_forms_are_in_no_probe() -> None:
    for case in CASES:
        probes = {case["prompt"], case["negated_prompt"], case["question"], *case["paraphrases"]}
        probes |= {near["prompt"] for near in (*case["neighbours"], *case["portability"])}
        shown = {text for kind, text in case["training_forms"] if kind != "judged"}
        assert not shown & probes, case["id"]
        judged = [text for kind, text in case["training_forms"] if kind == "judged"]
        assert not any(text.startswith(case["statement"].format("")) for text in judged), case["id"]
        kinds = {kind for kind, _ in case["training_forms"]}
        assert kinds == ({"plain", "negated", "judged"} if case["trained"] else set()), case["id"]
