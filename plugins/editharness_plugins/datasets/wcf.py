"""WikiData CounterFact (KnowEdit, wiki_counterfact; wiki_recent has the same schema).

subject, prompt, target_new, ground_truth, locality, portability, and rephrase where the file has it. Answers are texts
in some files and lists of alias lists in others. Records that change a person's gender, often a real person's, carry
the tag "gender", so that they can be left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from editharness.data.cases import collect, counted, fill, paraphrases
from editharness.data.records import Record
from editharness.data.templates import statement_of
from editharness.types import Case, CaseSet
from editharness_plugins.datasets.knowedit import probes

_GENDER = re.compile(r"\bgender of\b|\bgender is$", re.IGNORECASE)
_LONG_WORDS = 8


def load(path: Path) -> CaseSet:
    """Read a KnowEdit wiki_counterfact file; raises DataError."""
    return collect("wcf", path, _read)


def _read(record: Record, quirks: Counter[str]) -> Iterable[Case]:
    prompt, span = fill(record.text("prompt"), record.text("subject"))
    target = record.answers("target_new")
    old = record.answers("ground_truth") if record.has("ground_truth") else ("",)
    gender = _GENDER.search(prompt) is not None
    counted(
        quirks,
        {
            "no old answer": not old[0],
            "gender": gender,
            "target over 8 words": len(target[0].split()) > _LONG_WORDS,
            "target ends in a full stop": target[0].endswith("."),
            "prompt not ASCII": not prompt.isascii(),
        },
    )
    yield Case(
        id=f"wcf-{record.number}",
        prompt=prompt,
        subject=span,
        target=target[0],
        target_aliases=target[1:],
        old=old[0],
        old_aliases=old[1:],
        statement=statement_of(prompt, span),
        paraphrases=paraphrases(prompt, record.texts("rephrase"), quirks),
        neighbours=probes(record, "locality", quirks),
        portability=probes(record, "portability", quirks),
        tags=frozenset({"gender"}) if gender else frozenset(),
    )
