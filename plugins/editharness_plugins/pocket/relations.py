"""The relations of pocket: their wordings (relations.yaml) and their facts (facts/*.tsv)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """One line of a fact file: a subject, its true answer and other names of that answer."""

    subject: str
    answer: str
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class Relation:
    """A relation with its wordings; `fill` puts a subject into one of them."""

    name: str
    kind: str
    answer_type: str
    trained: bool
    several_answers: bool
    articles: frozenset[str]
    wordings: dict[str, tuple[str, ...]]
    twohop: tuple[tuple[str, str], ...]
    entries: tuple[Entry, ...]

    def fill(self, template: str, subject: str) -> str:
        """The wording with the subject in it, with an article where the subject takes one."""
        return template.replace("{}", f"the {subject}" if subject in self.articles else subject)

    def pool(self) -> list[str]:
        """Every answer that the relation has, once, in a fixed order."""
        return sorted({entry.answer for entry in self.entries})

    def find(self, subject: str) -> Entry | None:
        """The fact about a subject, if the relation has one."""
        return next((entry for entry in self.entries if entry.subject == subject), None)


def _entries(path: Path) -> tuple[Entry, ...]:
    with path.open(encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        return tuple(
            Entry(row["subject"], row["answer"], tuple(a for a in (row["aliases"] or "").split("|") if a))
            for row in rows
        )


def _wordings(spec: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        "cloze": (spec["prompt"],),
        "paraphrase": (spec["paraphrases"][0], *spec["train_paraphrases"]),
        "held_out_paraphrase": tuple(spec["paraphrases"][1:]),
        "negated": (spec["negated"], *spec["train_negated"]),
        "question": (spec["question"], *spec["train_questions"]),
    }


@cache
def load_yaml() -> dict[str, Any]:
    """relations.yaml as it stands."""
    content: dict[str, Any] = yaml.safe_load((HERE / "relations.yaml").read_text(encoding="utf-8"))
    return content


@cache
def load_relations() -> dict[str, Relation]:
    """Every relation by name, in the order of relations.yaml."""
    return {
        name: Relation(
            name=name,
            kind=spec["kind"],
            answer_type=spec["answer_type"],
            trained=spec.get("trained", True),
            several_answers=spec.get("several_answers", False),
            articles=frozenset(spec.get("the", [])),
            wordings=_wordings(spec),
            twohop=tuple((hop["prompt"], hop["via"]) for hop in spec.get("twohop", [])),
            entries=_entries(HERE / "facts" / f"{name}.tsv"),
        )
        for name, spec in load_yaml()["relations"].items()
    }
