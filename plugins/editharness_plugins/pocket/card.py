"""The validity card of pocket: what the model measurably knows, says under negation, judges and answers.

`python -m editharness_plugins.pocket.card MODEL` measures a model folder; `measure` does it for a loaded model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from editharness_plugins.pocket.corpus import read_cases, read_counterfact
from editharness_plugins.pocket.examiner import Examiner
from editharness_plugins.pocket.relations import HERE, load_relations

Case = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One measured rate: its value over n prompts, what is wanted of it, and whether it is met."""

    name: str
    value: float
    n: int
    wanted: str
    passed: bool


def known(examiner: Examiner, cases: list[Case]) -> list[bool]:
    """The true answer to the prompt."""
    return examiner.exact(examiner.complete(c["prompt"] for c in cases), (c["old"] for c in cases))


def paraphrase(examiner: Examiner, cases: list[Case]) -> list[bool]:
    """The true answer to a paraphrase whose wording is trained with other facts."""
    return examiner.exact((c["paraphrases"][0] for c in cases), (c["old"] for c in cases))


def held_out_wording(examiner: Examiner, cases: list[Case]) -> list[bool]:
    """The true answer to a paraphrase whose wording is in no training sentence."""
    return examiner.exact((c["paraphrases"][1] for c in cases), (c["old"] for c in cases))


def question(examiner: Examiner, cases: list[Case]) -> list[bool]:
    """The true answer, and nothing else, to the question."""
    prompts = (examiner.forms["question"].format(question=c["question"]) for c in cases)
    return examiner.exact(prompts, (c["old"] for c in cases))


def echo(examiner: Examiner, cases: list[Case]) -> list[bool]:
    """The true answer to the negated prompt, which denies it."""
    return examiner.says(examiner.complete(c["negated_prompt"] for c in cases), (c["old"] for c in cases))


def right_type(examiner: Examiner, cases: list[Case]) -> list[bool]:
    """An answer of the relation, whichever, to the negated prompt."""
    relations = load_relations()
    replies = examiner.ask(examiner.complete(c["negated_prompt"] for c in cases))
    pairs = zip(replies, cases, strict=True)
    return [reply.stopped and reply.text[1:] in relations[case["relation"]].pool() for reply, case in pairs]


def true_false(examiner: Examiner, cases: list[Case], form: str = "true_false") -> list[bool]:
    """The verdicts on the true statement and on the one with the target: as many of each."""
    right = [c["statement"].format(c["old"]) for c in cases]
    wrong = [c["statement"].format(c["target"]) for c in cases]
    template = examiner.forms[form]
    return examiner.verdicts(right, template, "true") + examiner.verdicts(wrong, template, "false")


def held_out_true_false(examiner: Examiner, cases: list[Case]) -> list[bool]:
    """The same in a wording that no training sentence uses."""
    return true_false(examiner, cases, "held_out_true_false")


def given(examiner: Examiner, cases: list[Case]) -> list[bool]:
    """The target, when the prompt itself says that it is so."""
    form = examiner.forms["imagine"]
    asked = zip(cases, examiner.complete(c["prompt"] for c in cases), strict=True)
    prompts = [form.format(statement=c["statement"].format(c["target"]), prompt=prompt) for c, prompt in asked]
    return examiner.exact(prompts, (c["target"] for c in cases))


Measure = Callable[[Examiner, list[Case]], list[bool]]
Line = tuple[str, Measure, float | None, str | None]
"""A row to be: its name, what measures it, the bound that is wanted, the form that its facts must (not) have had."""
SEEN: list[Line] = [
    ("known", known, 0.99, None),
    ("paraphrase", paraphrase, None, "paraphrase"),
    ("echo under negation", echo, -0.05, "negated"),
    ("right type under negation", right_type, 0.95, "negated"),
    ("true/false, balanced", true_false, 0.95, "true_false"),
    ("question, exact", question, 0.97, "question"),
    ("held-out wording", held_out_wording, None, None),
    ("held-out true/false wording", held_out_true_false, None, "true_false"),
    ("given in the prompt", given, None, None),
]
UNSEEN: list[Line] = [
    ("form never trained: paraphrase", paraphrase, 0.90, "paraphrase"),
    ("form never trained: echo under negation", echo, -0.10, "negated"),
    ("form never trained: right type under negation", right_type, None, "negated"),
    ("form never trained: true/false, balanced", true_false, 0.85, "true_false"),
    ("form never trained: question, exact", question, 0.90, "question"),
]


def row(name: str, hits: list[bool], wanted: float | None) -> Row:
    """A row of the card; a negative bound is an upper one."""
    value = sum(hits) / len(hits) if hits else float("nan")
    if wanted is None:
        return Row(name, value, len(hits), "", True)
    passed = value <= -wanted if wanted < 0 else value >= wanted
    return Row(name, value, len(hits), f"<= {-wanted:g}" if wanted < 0 else f">= {wanted:g}", passed)


def measure(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cases: list[Case]) -> list[Row]:
    """The card: every form on the facts trained in it, then on the facts that never had it."""
    examiner = Examiner(model, tokenizer)
    held_out = [case for case in cases if not case["trained"]]
    unknown = row("relation never trained: known", known(examiner, held_out), None)
    return [*measure_lines(examiner, cases, SEEN, UNSEEN), unknown]


def measure_lines(examiner: Examiner, cases: list[Case], seen: list[Line], unseen: list[Line]) -> list[Row]:
    """`seen` on the facts that had the line's form in training, `unseen` on those that had all others."""
    trained, rows = [case for case in cases if case["trained"]], []
    for lines, missing in ((seen, False), (unseen, True)):
        for name, rate, wanted, form in lines:
            chosen = [case for case in trained if (case["missing_form"] == form and form is not None) is missing]
            rows.append(row(name, rate(examiner, chosen), wanted))
    return rows


def measure_counterfact(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, cases: list[Case]) -> list[Row]:
    """Known and echoed answers on CounterFact cases as `read_counterfact` gives them."""
    examiner = Examiner(model, tokenizer)
    chosen = [{**case, "old": case["ground_truth"]} for case in cases]
    return [
        row("CounterFact: known", known(examiner, chosen), 0.95),
        row("CounterFact: echo under negation", echo(examiner, chosen), -0.10),
    ]


def to_json(rows: list[Row], model: Path) -> dict[str, Any]:
    """The card as it is committed beside the model, with the sha256 of the weights it was measured on."""
    weights = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    entries = [
        {"what": r.name, "wanted": r.wanted, "measured": round(r.value, 4), "n": r.n, "passed": r.passed} for r in rows
    ]
    return {"weights_sha256": weights, "rows": entries}


def main() -> None:
    """Print the card of a model folder, and write it with --out."""
    parser = argparse.ArgumentParser(description="Measure the validity card of a pocket model.")
    parser.add_argument("model", type=Path, nargs="?", default=HERE / "model")
    parser.add_argument("--counterfact", type=Path)
    parser.add_argument("--counterfact-cases", type=int, default=1000)
    parser.add_argument("--negations", type=Path, default=Path("harness/editharness/data/negation_templates.csv"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the card as JSON, with what editing it takes")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    rows = measure(model, tokenizer, read_cases())
    if tokenizer.chat_template:
        from editharness_plugins.pocket.card_chat import measure_chat

        rows += measure_chat(model, tokenizer, read_cases())
    if arguments.counterfact:
        cases = read_counterfact(arguments.counterfact, arguments.counterfact_cases, arguments.negations)
        rows += measure_counterfact(model, tokenizer, cases)
    if arguments.out:
        from editharness_plugins.pocket.editable import measure_editable

        rows += measure_editable(str(arguments.model))
        arguments.out.write_text(json.dumps(to_json(rows, arguments.model), indent=1) + "\n", encoding="utf-8")
    for entry in rows:
        verdict = "" if not entry.wanted else "met" if entry.passed else "MISSED"
        print(f"{entry.name:48s} {entry.value:6.3f}  n={entry.n:<5d} {entry.wanted:8s} {verdict}")


if __name__ == "__main__":
    main()
