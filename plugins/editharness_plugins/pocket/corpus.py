"""Collects the facts to train on: those of pocket and, on request, cases of CounterFact."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from editharness_plugins.pocket.build import hops
from editharness_plugins.pocket.forms import Fact
from editharness_plugins.pocket.relations import HERE, load_relations

COUNTERFACT_WEIGHT = 0.9
COUNTERFACT_SHARES = {"cloze": 0.30, "paraphrase": 0.14, "negated": 0.32, "true_false": 0.16, "imagine": 0.08}


def read_cases(path: Path | None = None) -> list[dict[str, Any]]:
    """The cases of pocket as they stand in the file."""
    path = path or HERE / "pocket.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def pocket_facts(cases: list[dict[str, Any]], held_out: bool = False) -> list[Fact]:
    """The trained facts of pocket (or those of the relations that no sentence is trained on)."""
    relations, facts = load_relations(), []
    for case in cases:
        relation = relations[case["relation"]]
        if case["trained"] == held_out:
            continue
        right = {case["old"], *case["old_aliases"]}
        wordings = {
            form: tuple(relation.fill(template, case["subject"]) for template in templates)
            for form, templates in relation.wordings.items()
            if held_out or not form.startswith("held_out")
        }
        hop = tuple((h["prompt"], h["answer"]) for h in hops(relations, relation, case["subject"], case["old"]))
        wrong = tuple(answer for answer in relation.pool() if answer not in right)
        facts.append(Fact(case["id"], case["subject"], case["old"], wrong, wordings, hop, case["missing_form"]))
    return facts


def read_negations(path: Path) -> dict[str, str]:
    """The negated wording of each CounterFact template."""
    with path.open(encoding="utf-8", newline="") as handle:
        return {row["template"]: row["negated_template"] for row in csv.DictReader(handle)}


def read_counterfact(path: Path, count: int, negations: Path) -> list[dict[str, Any]]:
    """The first cases of CounterFact, each with its template, its negated prompt and other answers of its type."""
    table = read_negations(negations)
    cases: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[:count]
    by_template: dict[str, set[str]] = defaultdict(set)
    for case in cases:
        case["template"] = case["prompt"].replace(case["subject"], "{}", 1)
        by_template[case["template"]] |= {case["ground_truth"], case["target_new"]}
    near: dict[str, set[str]] = defaultdict(set)
    for answers in by_template.values():
        for answer in answers:
            near[answer] |= answers
    for case in cases:
        case["negated_prompt"] = table[case["template"]].replace("{}", case["subject"])
        own = by_template[case["template"]]
        pool = own if len(own) > 5 else near[case["ground_truth"]]
        case["others"] = sorted(pool - {case["ground_truth"]})
    return cases


def _core(text: str, subject: str) -> str:
    """A paraphrase without the unrelated sentence that CounterFact often puts before it."""
    head, _, tail = text.rpartition(". ")
    return tail if head and subject in tail else text


def counterfact_facts(cases: list[dict[str, Any]]) -> list[Fact]:
    """CounterFact cases as facts to train on."""
    facts = []
    for case in cases:
        rephrased = case["rephrase_prompt"]
        wordings = {
            "cloze": (case["prompt"],),
            "paraphrase": (_core(rephrased, case["subject"]), rephrased),
            "negated": (case["negated_prompt"],),
        }
        facts.append(
            Fact(
                key=f"counterfact-{case['case_id']}",
                subject=case["subject"],
                answer=case["ground_truth"],
                wrong=tuple(case["others"]),
                wordings=wordings,
                weight=COUNTERFACT_WEIGHT,
                shares=COUNTERFACT_SHARES,
            )
        )
    return facts
