"""A folder that has what the commands of the guides speak of: a run's records, data files, a model of one's own."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.guides.pages import ROOT, blocks

import editharness_plugins
from editharness.data.load import load_cases
from editharness.registry import load_plugins
from editharness.types import Case

POCKET = Path(editharness_plugins.__file__ or "").parent / "pocket" / "model"
RUNS = (
    "negation_pocket/memit-2634ca47bb",
    "negation_pocket/memit-32bfa9ab74",
    "negation_pocket/ft-m-ad3f1b7904",
    "negation_pocket/rome-3d6ea015b5",
)
"""The records that guides show; whoever reads them has made runs of his own."""
RECORDS = 12


def furnish(folder: Path, *, boards: bool) -> None:
    """Put it all into an empty folder; the committed records only where they are asked for (28 MB)."""
    if boards:  # copied, not linked: `submit --output .` writes there
        shutil.copytree(ROOT / "leaderboards", folder / "leaderboards")
    shutil.copytree(ROOT / "sweeps", folder / "sweeps")
    for run in RUNS:
        shutil.copytree(ROOT / "leaderboards" / "results" / run, folder / "runs" / Path(run).name)
    (folder / "my-llama").symlink_to(POCKET)
    (rows,) = (block.text for block in blocks("docs/data.md") if block.language == "csv")
    (folder / "qa.csv").write_text(rows, encoding="utf-8")
    (folder / "text.txt").write_text("Nairobi is the capital of Kenya.\nRivers run to the sea.\n" * 20)
    fact = {"subject": "Greece", "prompt": "The main language of {} is", "target": "Dutch"}
    (folder / "facts.jsonl").write_text(json.dumps(fact) + "\n")
    cases = [case for case in load_cases(load_plugins(), "pocket").cases if case.split == "test"][:RECORDS]
    for name in ("counterfact-edit.json", "counterfact.json"):
        write(folder / name, [counterfact(case, i) for i, case in enumerate(cases)])
    write(folder / "QAEdit_inter_1k.json", [qaedit(case, other, i) for i, (case, other) in enumerate(pairwise(cases))])
    write(folder / "MQuAKE-CF-3k-v2.json", [mquake(case, i) for i, case in enumerate(cases)])


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows), encoding="utf-8")


def rewrite(case: Case) -> dict[str, Any]:
    """A fact as CounterFact and MQuAKE spell it."""
    start, end = case.subject
    prompt = case.prompt[:start] + "{}" + case.prompt[end:]
    new, true = {"str": case.target, "id": "Q1"}, {"str": case.old, "id": "Q2"}
    return {
        "prompt": prompt,
        "relation_id": "P1",
        "subject": case.subject_text,
        "target_new": new,
        "target_true": true,
        "question": f"What is it: {case.prompt}?",
    }


def counterfact(case: Case, number: int) -> dict[str, Any]:
    near = [question.prompt for question in case.neighbours]
    return {
        "case_id": number,
        "requested_rewrite": rewrite(case),
        "paraphrase_prompts": list(case.paraphrases),
        "neighborhood_prompts": near,
        "attribute_prompts": [],
        "generation_prompts": [],
    }


def qaedit(case: Case, other: Case, number: int) -> dict[str, Any]:
    locality = [{"loc": f"What is it: {other.prompt}?", "loc_ans": other.old}]
    return {
        "id": number,
        "source": "NQ",
        "prompt": f"What is it: {case.prompt}?",
        "subject": case.subject_text,
        "target": case.target,
        "rephrase": f"Say it: {case.prompt}?",
        "locality": locality,
    }


def mquake(case: Case, number: int) -> dict[str, Any]:
    return {
        "case_id": number,
        "requested_rewrite": [rewrite(case)],
        "questions": [f"Where does it lead: {case.prompt}?"],
        "new_answer": case.target,
        "new_answer_alias": [],
        "single_hops": [{"cloze": case.prompt, "answer": case.old, "answer_alias": []}],
        "new_single_hops": [{"cloze": case.prompt, "answer": case.target, "answer_alias": []}],
    }
