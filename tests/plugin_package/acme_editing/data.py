"""Reads capitals.tsv: country, capital, the city that shall be it."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

from editharness.types import Case, CaseSet, Skipped

PROMPT = "The capital of {} is"


def load(path: Path) -> CaseSet:
    """One case per line; a line without three fields is counted, not guessed."""
    cases: list[Case] = []
    skipped: list[Skipped] = []
    content = path.read_bytes()
    lines = csv.reader(content.decode("utf-8").splitlines(), delimiter="\t")
    for number, line in enumerate(lines, start=1):
        if len(line) != 3:
            skipped.append(Skipped(number, "line", f"{len(line)} fields where 3 are wanted"))
            continue
        country, old, target = line
        start = PROMPT.index("{}")
        cases.append(
            Case(
                id=f"capitals-{number}",
                prompt=PROMPT.replace("{}", country),
                subject=(start, start + len(country)),
                target=target,
                old=old,
                relation="capital",
            )
        )
    return CaseSet("capitals", tuple(cases), tuple(skipped), hashlib.sha256(content).hexdigest())
