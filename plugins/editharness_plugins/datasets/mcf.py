"""CounterFact and MultiCounterFact, in their full schema and in the flat one that EasyEdit's files have.

Full:  case_id, requested_rewrite {prompt with "{}", subject, relation_id, target_new.str, target_true.str},
       paraphrase_prompts, neighborhood_prompts (all answered by target_true)
Flat:  case_id, prompt, subject, target_new, ground_truth, rephrase_prompt, locality_prompt, locality_ground_truth

The schema is told per record. Only the full one names the relation, which the statement of "{}, the" needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from editharness.data.cases import collect, counted, fill, paraphrases, questions
from editharness.data.records import Record
from editharness.data.templates import statement_of
from editharness.types import Case, CaseSet


def load(path: Path) -> CaseSet:
    """Read a CounterFact file of either schema; raises DataError."""
    return collect("mcf", path, _read)


def load_counterfact(path: Path) -> CaseSet:
    """The same schemas under the name of the smaller set; raises DataError."""
    return collect("counterfact", path, _read)


def _read(record: Record, quirks: Counter[str]) -> Iterable[Case]:
    case = _full(record, quirks) if record.has("requested_rewrite") else _flat(record, quirks)
    near = any(case.subject_text in neighbour.prompt for neighbour in case.neighbours)
    counted(quirks, {"neighbour names the subject": near, "prompt not ASCII": not case.prompt.isascii()})
    yield case


def _id(record: Record, quirks: Counter[str]) -> str:
    """case_id may be a number or a text; a record without one is named by its place."""
    found = record.fields.get("case_id")
    if isinstance(found, int | str) and not isinstance(found, bool):
        return f"mcf-{found}"
    quirks["no case_id"] += 1
    return f"mcf-record-{record.number}"


def _full(record: Record, quirks: Counter[str]) -> Case:
    rewrite = record.record("requested_rewrite")
    prompt, span = fill(rewrite.text("prompt"), rewrite.text("subject"))
    old = rewrite.record("target_true").text("str")
    relation = rewrite.optional("relation_id")
    return Case(
        id=_id(record, quirks),
        prompt=prompt,
        subject=span,
        target=rewrite.record("target_new").text("str"),
        old=old,
        statement=statement_of(prompt, span, relation),
        paraphrases=paraphrases(prompt, record.texts("paraphrase_prompts"), quirks),
        neighbours=questions([(near, (old,)) for near in record.texts("neighborhood_prompts")], quirks),
        relation=relation,
    )


def _flat(record: Record, quirks: Counter[str]) -> Case:
    prompt, span = fill(record.text("prompt"), record.text("subject"))
    near = [(record.text("locality_prompt"), record.answers("locality_ground_truth"))] if _has_neighbour(record) else []
    return Case(
        id=_id(record, quirks),
        prompt=prompt,
        subject=span,
        target=record.text("target_new"),
        old=record.text("ground_truth"),
        statement=statement_of(prompt, span),
        paraphrases=paraphrases(prompt, record.texts("rephrase_prompt"), quirks),
        neighbours=questions(near, quirks),
    )


def _has_neighbour(record: Record) -> bool:
    return record.has("locality_prompt") and record.has("locality_ground_truth")
