"""How many complement pairs and negated questions the rules make of a data set, and why the others are refused.

    python benchmarks/negation_coverage.py pocket
    python benchmarks/negation_coverage.py mcf=counterfact.json zsre_cloze=zsre.json
    python benchmarks/negation_coverage.py pocket --show never --sample 100 --seed 1

Prints a Markdown table per data set; with --show, a seeded sample of pairs of one kind instead ("question": of
negated questions), as a rater read them.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from editharness.data.adverbs import Refusal
from editharness.data.complements import KINDS, complement, coverage
from editharness.data.load import load_cases
from editharness.data.negated_questions import negated_question, question_coverage
from editharness.registry import load_plugins
from editharness.types import Case


def read(named: Sequence[str]) -> Iterator[tuple[str, Sequence[Case]]]:
    """(name, cases) of every `name` or `name=FILE`."""
    registry = load_plugins()
    for text in named:
        name, _, file = text.partition("=")
        yield name, load_cases(registry, name, Path(file) if file else None, offline=True).cases


def table(name: str, cases: Sequence[Case]) -> str:
    """One row per kind: made, share of all cases, the refused ones by reason."""
    rows: dict[str, Mapping[str, int]] = {**coverage(cases), "negated question": question_coverage(cases)}
    lines = [f"**{name}**, {len(cases)} cases", "", "| kind | made | share | refused |", "| --- | --- | --- | --- |"]
    for kind, counts in rows.items():
        made = sum(count for reason, count in counts.items() if reason.startswith("made"))
        kept = f" (key kept {counts['made, key kept']})" if "made, key kept" in counts else ""
        refused = Counter({reason: count for reason, count in counts.items() if not reason.startswith("made")})
        told = "; ".join(f"{reason} {count}" for reason, count in refused.most_common()) or "none"
        lines.append(f"| {kind} | {made}{kept} | {made / len(cases):.1%} | {told} |")
    return "\n".join(lines)


def shown(cases: Sequence[Case], kind: str) -> Iterator[str]:
    """Every pair of one kind as one line."""
    for case in cases:
        answers = f"[{case.target} / {case.old}]"
        if kind == "question":
            asked = negated_question(case)
            if not isinstance(asked, Refusal):
                yield f"{asked.question} {answers}"
            continue
        made = complement(case, next(one for one in KINDS if one == kind))
        if not isinstance(made, Refusal):
            yield f"{made.affirming.prompt} || {made.denying.prompt} {answers}"


def main() -> None:
    """Print the tables, or a sample."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="NAME[=FILE]")
    parser.add_argument("--show", choices=[*KINDS, "question"])
    parser.add_argument("--sample", type=int, default=100, help="with --show: pairs per data set")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name, cases in read(args.data):
        if not args.show:
            print(table(name, cases), end="\n\n")
            continue
        lines = list(shown(cases, args.show))
        for line in random.Random(args.seed).sample(lines, min(args.sample, len(lines))):
            print(f"{name}: {line}")


if __name__ == "__main__":
    main()
