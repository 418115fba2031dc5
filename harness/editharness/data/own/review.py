"""A table of built cases to look through in a spreadsheet; no cell of it can act as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

from editharness.data.own.build import Built
from editharness.data.own.case_file import OwnCase

COLUMNS: Final = (
    *("id", "question", "subject", "subject by", "target", "target by", "old", "answer type"),
    *("paraphrase", "paraphrase by", "completion", "completion by", "neighbours", "neighbours by"),
)
REPORTED: Final = ("record", "field", "what is missing")
_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def review_table(built: Built) -> str:
    """CSV: one row per case, then one per row that was left out or lacks something."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(COLUMNS)
    table.writerows([safe(cell) for cell in _row(case)] for case in built.cases)
    reported = [*built.left_out, *built.gaps]
    if reported:
        table.writerow([])
        table.writerow(REPORTED)
        table.writerows([str(one.record), safe(one.field), safe(one.reason)] for one in reported)
    return out.getvalue()


def safe(text: str) -> str:
    """A text that a spreadsheet shows and does not compute: a mark before what could start a formula (OWASP)."""
    return f"'{text}" if text.lstrip(" ").startswith(_STARTS) else text


def _row(case: OwnCase) -> Sequence[str]:
    by = {name: ", ".join(makers) for name, makers in case.made_by.items()}
    near = " / ".join(f"{one.prompt} {one.answer}" for one in case.neighbours)
    return (
        *(case.id, case.question, case.subject_text, by["subject"], case.target, by["target"], case.old),
        *(case.answer_type, " / ".join(case.paraphrases), by["paraphrases"], case.completion, by["completion"]),
        *(near, by["neighbours"]),
    )
