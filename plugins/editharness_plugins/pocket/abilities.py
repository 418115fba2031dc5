"""What pocket can do besides the edited facts, as lm-eval tasks: offline stand-ins for a benchmark suite.

Facts of the train and dev splits, which no run edits; two-hop questions about them; and plain text. All but the text
are answered by generation, so that a model that was muted scores nothing.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from editharness.scoring import begins
from editharness.types import Case
from editharness_plugins.datasets.pocket import load
from editharness_plugins.pocket.relations import load_relations

TEXTS = 200


def facts(**settings: Any) -> dict[str, Any]:
    """lm-eval's `custom_dataset`: prompt and true answers of every trained fact that no run edits."""
    return _dataset([{"prompt": case.prompt, "answers": [case.old, *case.old_aliases]} for case in _unedited()])


def two_hop(**settings: Any) -> dict[str, Any]:
    """Prompts that are answered through a second relation ("The capital of the country of birth of ... is")."""
    relations, rows = load_relations(), []
    for case in _unedited():
        for prompt, via in relations[case.relation].twohop:
            hit = relations[via].find(case.old)
            if hit is not None:
                rows.append(
                    {"prompt": relations[case.relation].fill(prompt, case.subject_text), "answers": [hit.answer]}
                )
    return _dataset(rows)


def text(**settings: Any) -> dict[str, Any]:
    """Lines of the model's own text."""
    corpus = files("editharness_plugins.pocket").joinpath("model/corpus.txt").read_text(encoding="utf-8")
    return _dataset([{"text": line, "prompt": "", "answers": []} for line in corpus.splitlines()[:TEXTS] if line])


def score_answer(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Does the free answer begin with a true one?"""
    return {"exact_match": float(begins(results[0], doc["answers"]))}


def score_text(doc: dict[str, Any], results: list[float]) -> dict[str, float]:
    """Negative log-likelihood in nats per byte."""
    return {"nats_per_byte": -results[0] / len(doc["text"].encode())}


def _unedited() -> list[Case]:
    file = files("editharness_plugins.pocket").joinpath("pocket.jsonl")
    return [case for case in load(file).cases if case.split != "test" and "untrained" not in case.tags]  # type: ignore[arg-type]


def _dataset(rows: list[dict[str, Any]]) -> dict[str, Any]:
    import datasets

    return {"test": datasets.Dataset.from_list(rows)}
