"""The tables of hand-checked templates: how each published prompt template is negated, and how it becomes a statement.

A template is a prompt with its subject replaced by "{}". In every row of the negation tables the text up to and
including "{}" is the same before and after, so that the key at the subject's last token is the same in both prompts.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from editharness.errors import DataError
from editharness.types import Span

NEGATIONS: Final = ("negation_templates.csv", "negation_templates_other.csv")
STATEMENTS: Final = "statement_templates.csv"
SLOT: Final = "{}"


@dataclass(frozen=True)
class NegatedTemplate:
    """One row: the text that follows the subject in the negated prompt, and the rule its author ascribed it to."""

    tail: str
    rule: str


def template_of(prompt: str, subject: Span) -> str:
    """The prompt with its subject replaced by "{}"."""
    return prompt[: subject[0]] + SLOT + prompt[subject[1] :]


def read_rows(name: str) -> list[dict[str, str]]:
    """The rows of a table that ships with the package."""
    text = files("editharness.data").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _negations() -> Mapping[str, NegatedTemplate]:
    table: dict[str, NegatedTemplate] = {}
    for name in NEGATIONS:
        for row in read_rows(name):
            before, _, _ = row["template"].partition(SLOT)
            kept, _, tail = row["negated_template"].partition(SLOT)
            if before != kept:
                raise DataError(f"{name}: template {row['template']!r} changes before its subject when negated")
            table.setdefault(row["template"], NegatedTemplate(tail, row["rule"]))
    return MappingProxyType(table)


def _statements() -> Mapping[str, str]:
    rows = read_rows(STATEMENTS)
    other = {row["template"]: row["template"] for row in read_rows(NEGATIONS[1])}
    table = {row["template"]: row["statement_template"] for row in rows if _has_slot(row["statement_template"])}
    return MappingProxyType(other | table)


def _has_slot(statement: str) -> bool:
    """Whether a row is one statement; rows that depend on the relation ("BY RELATION: ...") are not."""
    return statement.count(SLOT) == 1 and not statement.startswith("BY RELATION")


NEGATED_TEMPLATES: Final = _negations()
STATEMENT_TEMPLATES: Final = _statements()

# "{}, the" is completed by an instrument, a position or a noun: only the relation tells which verb it stands for.
_BY_RELATION: Final = MappingProxyType({("{}, the", "P1303"): "{} plays the", ("{}, the", "P413"): "{} plays as"})
_OTHERWISE: Final = MappingProxyType({"{}, the": "{} is the"})


def statement_of(prompt: str, subject: Span, relation: str = "") -> str | None:
    """A full sentence with "{}" where the answer goes, for a prompt whose template is in the tables; else None.

    `relation` is a Wikidata property ("P413"): one template ("{}, the") needs it, and without it there is none.
    """
    template = template_of(prompt, subject)
    found = STATEMENT_TEMPLATES.get(template) or _BY_RELATION.get((template, relation))
    if found is None and relation:
        found = _OTHERWISE.get(template)
    name = prompt[subject[0] : subject[1]]
    return None if found is None or SLOT in name else found.replace(SLOT, name) + " " + SLOT
