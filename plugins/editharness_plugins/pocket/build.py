"""Builds pocket.jsonl from the fact files and the wordings: `python -m editharness_plugins.pocket.build`."""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from editharness_plugins.pocket.relations import HERE, Entry, Relation, load_relations, load_yaml

SEED = 20
FORMS = ("paraphrase", "negated", "true_false", "question")
NEIGHBOURS = 5


def assign_splits(relations: dict[str, Relation], rng: random.Random) -> dict[str, str]:
    """A split for every subject (20/10/70), so that one subject is in one split only."""
    subjects = sorted({entry.subject for relation in relations.values() for entry in relation.entries})
    rng.shuffle(subjects)
    first, second = int(0.2 * len(subjects)), int(0.3 * len(subjects))
    return {s: "train" if i < first else "dev" if i < second else "test" for i, s in enumerate(subjects)}


def draw_targets(relation: Relation, rng: random.Random) -> list[str]:
    """A wrong answer of the same type for every fact, each answer of the pool used about equally often."""
    uses = dict.fromkeys(relation.pool(), 0)
    targets = []
    for entry in relation.entries:
        banned = {entry.answer, *entry.aliases}
        allowed = [answer for answer in uses if answer not in banned]
        least = min(uses[answer] for answer in allowed)
        target = rng.choice([answer for answer in allowed if uses[answer] == least])
        uses[target] += 1
        targets.append(target)
    return targets


def target_aliases(relation: Relation, target: str) -> list[str]:
    """The other names of an answer, taken from a fact that has it as its true answer."""
    if relation.several_answers:
        return []
    return next(list(entry.aliases) for entry in relation.entries if entry.answer == target)


def neighbours(relation: Relation, entry: Entry, rng: random.Random) -> list[dict[str, str]]:
    """Prompts about other subjects: with the same true answer first, then with any."""
    others = [other for other in relation.entries if other.subject != entry.subject]
    rng.shuffle(others)
    others.sort(key=lambda other: other.answer != entry.answer)
    prompt = relation.wordings["cloze"][0]
    return [{"prompt": relation.fill(prompt, o.subject), "answer": o.answer} for o in others[:NEIGHBOURS]]


def hops(relations: dict[str, Relation], relation: Relation, subject: str, answer: str) -> list[dict[str, str]]:
    """Two-step prompts about a subject, answered as if `answer` were true of it."""
    steps = [(prompt, relations[via].find(answer)) for prompt, via in relation.twohop]
    return [{"prompt": relation.fill(prompt, subject), "answer": hit.answer} for prompt, hit in steps if hit]


def training_forms(relation: Relation, subject: str) -> list[list[str]]:
    """Wordings that are in no probe, as [kind, prompt]: for methods that are allowed to see more than the prompt."""
    plain, negated = relation.wordings["paraphrase"][1:], relation.wordings["negated"][1:]
    judge = load_yaml()["forms"]["train_true_false"][0]
    statements = [relation.fill(wording, subject) + " {}" for wording in plain[:2]]
    return [
        *(["plain", relation.fill(template, subject)] for template in plain),
        *(["negated", relation.fill(template, subject)] for template in negated),
        *(["judged", judge.format(statement=statement)] for statement in statements),
    ]


def make_case(
    relations: dict[str, Relation], relation: Relation, index: int, target: str, split: str, rng: random.Random
) -> dict[str, Any]:
    """One line of pocket.jsonl."""
    entry = relation.entries[index]
    prompt, paraphrase = (relation.fill(relation.wordings[k][0], entry.subject) for k in ("cloze", "paraphrase"))
    held = relation.fill(relation.wordings["held_out_paraphrase"][0], entry.subject)
    start = relation.wordings["cloze"][0].index("{}") + 4 * (entry.subject in relation.articles)
    return {
        "id": f"pocket-{relation.name}-{index:03d}",
        "relation": relation.name,
        "relation_kind": relation.kind,
        "prompt": prompt,
        "subject": entry.subject,
        "subject_span": [start, start + len(entry.subject)],
        "old": entry.answer,
        "old_aliases": list(entry.aliases),
        "target": target,
        "target_aliases": target_aliases(relation, target),
        "answer_type": relation.answer_type,
        "negated_prompt": relation.fill(relation.wordings["negated"][0], entry.subject),
        "question": relation.fill(relation.wordings["question"][0], entry.subject),
        "statement": prompt + " {}",
        "paraphrases": [paraphrase, held],
        "neighbours": neighbours(relation, entry, rng),
        "training_forms": training_forms(relation, entry.subject),
        "portability": hops(relations, relation, entry.subject, target),
        "split": split,
        "trained": relation.trained,
        "missing_form": rng.choice(FORMS) if relation.trained else None,
    }


def make_cases(seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Every case of pocket; the same seed gives the same cases."""
    relations = load_relations()
    splits = assign_splits(relations, random.Random(seed))
    for name, relation in relations.items():
        rng = random.Random(f"{seed}-{name}")
        targets = draw_targets(relation, rng)
        for index, entry in enumerate(relation.entries):
            yield make_case(relations, relation, index, targets[index], splits[entry.subject], rng)


def main() -> None:
    """Write pocket.jsonl."""
    parser = argparse.ArgumentParser(description="Build the pocket data set from its fact files and wordings.")
    parser.add_argument("--out", type=Path, default=HERE / "pocket.jsonl")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    lines = [json.dumps(case, ensure_ascii=False) for case in make_cases(arguments.seed)]
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} cases written to {arguments.out}")


if __name__ == "__main__":
    main()
