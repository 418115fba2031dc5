"""The stored answers of a run as items to judge: question and gold come from the data again, checked by sha256."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from editharness.asking import task_forms
from editharness.data.load import load_cases
from editharness.documents import case_documents
from editharness.errors import DataError, PluginError, RecordError, UnknownNameError
from editharness.judge import Item
from editharness.store import RunRecord, read_record
from editharness.store.judgements import samples_digest
from editharness.store.samples import Sample, read_samples

if TYPE_CHECKING:
    from editharness.registry import Registry
    from editharness.types import CaseSet

NEGATED = "negated"
"""Forms that begin so ask for what is not so: many answers are right there, hence they are judged only when named."""


@dataclass(frozen=True)
class Given:
    """One stored answer with what it was asked and what was expected; `subject` is the fact's, for intervals."""

    sample: Sample
    item: Item
    subject: str


@dataclass(frozen=True)
class RunAnswers:
    """The answers of one run that a judge can read. `left_out`: tasks with text that are judged only when named."""

    path: Path
    record: RunRecord
    samples: str
    given: tuple[Given, ...]
    left_out: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.path.parent


@dataclass(frozen=True)
class Wanted:
    """Which rows and tasks to judge; empty: all rows, and all tasks that generate text and are not negated."""

    rows: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()


def run_answers(
    path: Path, registry: Registry, files: Mapping[str, Path], wanted: Wanted, *, offline: bool
) -> RunAnswers:
    """Read a run's answers and join them with their data. Nothing is guessed: RecordError or DataError says what lacks.

    `files`: data set name -> file, as --data gives them.
    """
    record, folder = read_record(path), path.parent
    digest = samples_digest(folder)
    if record.files.get("samples.jsonl.gz", digest) != digest:
        raise RecordError(f"{folder}: samples.jsonl.gz is not the file that the record names")
    said = [sample for sample in read_samples(folder) if sample.text is not None]
    forms = task_forms(registry)
    tasks, left_out = _tasks({sample.task for sample in said}, forms, wanted.tasks, path)
    rows = _rows({_row(sample) for sample in said}, wanted.rows, path)
    kept = [sample for sample in said if sample.task in tasks and _row(sample) in rows]
    if not kept:
        raise RecordError(f"{path}: no generated answer to judge")
    data = _same_data(record, registry, files.get(record.data.name), path, offline=offline)
    return RunAnswers(path, record, digest, tuple(_given(kept, data, forms, path)), left_out)


def _row(sample: Sample) -> str:
    return sample.row or "none"


def _rows(there: Collection[str], named: Iterable[str], path: Path) -> set[str]:
    for name in named:
        if name not in there:
            raise UnknownNameError("row", name, there, hint=f"(in {path})")
    return set(named) or set(there)


def _tasks(
    there: Collection[str], forms: Mapping[str, str], named: tuple[str, ...], path: Path
) -> tuple[set[str], tuple[str, ...]]:
    unknown = sorted(there - forms.keys())
    if unknown:
        raise PluginError(f"{path}: asks task {unknown[0]!r}, which no installed plugin offers")
    for name in named:
        if name not in there:
            raise UnknownNameError("task", name, there, hint=f"(with generated answers in {path})")
    if named:
        return set(named), ()
    negated = {task for task in there if forms[task].startswith(NEGATED)}
    return set(there) - negated, tuple(sorted(negated))


def _same_data(record: RunRecord, registry: Registry, file: Path | None, path: Path, *, offline: bool) -> CaseSet:
    name = record.data.name
    data = load_cases(registry, name, file, offline=offline)
    if data.sha256 != record.data.sha256:
        raise DataError(
            f"data set {name!r} here ({data.sha256[:12]}) is not what {path} was made with "
            f"({record.data.sha256[:12]}): give that file with --data {name}=FILE"
        )
    return data


def _given(samples: Iterable[Sample], data: CaseSet, forms: Mapping[str, str], path: Path) -> Iterable[Given]:
    cases = {case.id: case for case in data.cases}
    asked: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for sample in samples:
        case, form = cases.get(sample.case), forms[sample.task]
        if case is None:
            raise RecordError(f"{path}: case {sample.case[:60]!r} is not in the data set {data.name!r}")
        key = (sample.case, form)
        if key not in asked:
            asked[key] = case_documents(case, form)
        docs = [doc for doc in asked[key] if doc["item"] == sample.item]
        if not docs:
            raise RecordError(f"{path}: {sample.task} has no question {sample.item} about case {sample.case[:60]!r}")
        yield Given(sample, _item(docs[0], sample.text or ""), case.subject_text)


def _item(doc: Mapping[str, Any], text: str) -> Item:
    old = str(doc.get("old") or "")
    return Item(
        question=str(doc["prompt"]),
        gold=str(doc["target"]),
        given=text,
        aliases=tuple(str(alias) for alias in doc.get("aliases") or ()),
        rivals=(old,) if old else (),
    )
