"""MQuAKE, used for its single edits: the published schema, and a flat list of its edits.

Published:  case_id, requested_rewrite [{prompt with "{}", subject, relation_id, question, target_new.str,
            target_true.str}], questions, new_answer, new_answer_alias, single_hops, new_single_hops
Flat:       subject, relation_id, prompt with "{}", question, target_new, target_new_alias, target_true

One case per edit. The same edit stands in many published cases: it is kept once per subject and relation, and another
target for the same pair is counted as "conflict". The multi-hop questions need all edits of their case to be written,
so they become portability questions only where their case has one edit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from editharness.data.cases import collect, fill, questions
from editharness.data.records import Record, RecordFault
from editharness.data.templates import statement_of
from editharness.types import Case, CaseSet, Question


def load(path: Path) -> CaseSet:
    """Read an MQuAKE file of either schema; raises DataError."""
    return collect("mquake", path, _Edits().read)


@dataclass
class _Edits:
    """The edits seen so far: (subject, relation) -> target."""

    seen: dict[tuple[str, str], str] = field(default_factory=dict)

    def read(self, record: Record, quirks: Counter[str]) -> Iterable[Case]:
        """The cases of one record that are new."""
        for case in _published(record, quirks) if record.has("requested_rewrite") else [_flat(record)]:
            pair = (case.subject_text, case.relation or case.prompt)
            if pair not in self.seen:
                self.seen[pair] = case.target
                yield case
            else:
                quirks["repeated edit" if self.seen[pair] == case.target else "conflict"] += 1


def _flat(record: Record) -> Case:
    prompt, span = fill(record.text("prompt"), record.text("subject"))
    return Case(
        id=f"mquake-{record.number}",
        prompt=prompt,
        subject=span,
        target=record.text("target_new"),
        target_aliases=record.texts("target_new_alias"),
        old=record.optional("target_true"),
        question=record.optional("question") or None,
        statement=statement_of(prompt, span),
        relation=record.optional("relation_id"),
    )


def _published(record: Record, quirks: Counter[str]) -> Iterator[Case]:
    rewrites = record.records("requested_rewrite")
    if not rewrites:
        raise RecordFault("requested_rewrite", "is empty")
    aliases = _aliases(record, "single_hops") | _aliases(record, "new_single_hops")
    asked = _multi_hop(record, quirks) if len(rewrites) == 1 else ()
    name = record.fields.get("case_id", f"record-{record.number}")
    for index, rewrite in enumerate(rewrites, start=1):
        prompt, span = fill(rewrite.text("prompt"), rewrite.text("subject"))
        target, old = rewrite.record("target_new").text("str"), rewrite.record("target_true").text("str")
        yield Case(
            id=f"mquake-{name}-{index}",
            prompt=prompt,
            subject=span,
            target=target,
            target_aliases=aliases.get(target, ()),
            old=old,
            old_aliases=aliases.get(old, ()),
            question=rewrite.optional("question") or None,
            statement=statement_of(prompt, span),
            portability=asked,
            relation=rewrite.optional("relation_id"),
        )


def _aliases(record: Record, name: str) -> dict[str, tuple[str, ...]]:
    """Aliases of the answers of single hops, by answer."""
    return {hop.text("answer"): hop.texts("answer_alias") for hop in record.records(name)}


def _multi_hop(record: Record, quirks: Counter[str]) -> tuple[Question, ...]:
    if not record.has("new_answer"):
        return ()
    answers = (record.text("new_answer"), *record.texts("new_answer_alias"))
    return questions([(question, answers) for question in record.texts("questions")], quirks)
