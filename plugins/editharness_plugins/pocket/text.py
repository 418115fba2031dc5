"""The text over which pocket's second moments are taken: its trained facts in their forms, one document per line.

`python -m editharness_plugins.pocket.text` writes model/corpus.txt, where the harness looks for a model's own text.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from editharness_plugins.pocket.corpus import read_cases
from editharness_plugins.pocket.relations import HERE, load_yaml


def documents(cases: list[dict[str, Any]]) -> Iterator[str]:
    """Every trained fact plainly, paraphrased, negated, asked and judged; line breaks become spaces."""
    forms = load_yaml()["forms"]
    for case in cases:
        if not case["trained"]:
            continue
        fact = case["statement"].format(case["old"])
        yield f"{fact}."
        yield f"{case['paraphrases'][0]} {case['old']}."
        yield f"{case['negated_prompt']} {case['target']}."
        yield " ".join(f"{forms['question'].format(question=case['question'])} {case['old']}".split())
        yield " ".join(f"{forms['true_false'].format(statement=fact)} true".split())


def main() -> None:
    """Write corpus.txt."""
    parser = argparse.ArgumentParser(description="Write the text for pocket's second moments.")
    parser.add_argument("--out", type=Path, default=HERE / "model" / "corpus.txt")
    arguments = parser.parse_args()
    arguments.out.write_text("\n".join(documents(read_cases())) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
