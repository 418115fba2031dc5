"""Is a data set what it says? Its schema, its subjects, its licence, and the same cases at every reading.

from editharness.testing import check_dataset

def test_mine():
    registry = load_plugins()
    report = check_dataset(registry.dataset("mine"), registry)
    assert not report.findings, str(report)
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast, get_args

from editharness.cache import cache_folder
from editharness.data.sources import file_sha256, find
from editharness.registry import Registry
from editharness.testing.conformance.checks import Check, run_checks
from editharness.testing.conformance.importing import imports_quietly, module_of
from editharness.testing.conformance.report import Fault, Report
from editharness.types import Case, CaseSet, DatasetSpec, FormKind, Split

NO_LICENCE = ("", "?", "none", "todo", "tbd", "unknown", "unclear")
SHARE = 0.5
"""The share of records that may be left out before a reader is taken to be the wrong one."""


@dataclass
class Subject:
    """A data set with its file on this machine, read when it is first asked for."""

    spec: DatasetSpec
    registry: Registry
    file: Path

    def read(self, file: Path) -> CaseSet:
        """The cases of a file, by the registered reader."""
        return cast("Callable[[Path], CaseSet]", self.registry.resolve(self.spec.ref))(file)

    @cached_property
    def data(self) -> CaseSet:
        """The cases of its file."""
        return self.read(self.file)


def check_dataset(
    spec: DatasetSpec, registry: Registry, file: Path | None = None, *, only: Collection[str] = (),
    skip: Mapping[str, str] | None = None,
) -> Report:  # fmt: skip
    """Run every check (or `only` some, by name) of one data set, on `file` or where its sources have left one here.

    Nothing is downloaded. `skip` maps checks that cannot apply to the reason. Raises DataError where there is no file
    to read, UnknownNameError for a name that is no check; whatever the reader itself raises is a finding.
    """
    found = find(spec, file, cache=cache_folder(), offline=True)
    debug = f"call {spec.ref.replace(':', '.')}(path) on {found.name} and follow the traceback"
    return run_checks(spec.name, found.name, Subject(spec, registry, found), CHECKS, only=only, skip=skip, debug=debug)


def _spec(subject: Subject) -> Iterator[Fault]:
    if not callable(subject.registry.resolve(subject.spec.ref)):
        yield Fault(
            f"{subject.spec.ref} cannot be called",
            "it is how a file becomes cases",
            "refer to a function that takes a Path and returns a CaseSet",
        )


def _licence(subject: Subject) -> Iterator[Fault]:
    if subject.spec.licence.strip().lower() in NO_LICENCE:
        yield Fault(
            f"the licence is {subject.spec.licence!r}",
            "nobody may publish results or samples of data without one",
            "name it as SPDX does (CC-BY-4.0, MIT, CC0-1.0), and ask the publisher where there is none",
        )


def _import(subject: Subject) -> Iterator[Fault]:
    return imports_quietly(module_of(subject.spec.ref))


def _reads(subject: Subject) -> Iterator[Fault]:
    data = subject.data
    if not isinstance(data, CaseSet):
        yield Fault(
            f"the reader returned a {type(data).__name__}",
            "a run takes cases, what was left out, and the file's hash from a CaseSet",
            "return CaseSet(name, cases, skipped, sha256), as editharness.data.cases.collect does",
        )
        return
    if data.name != subject.spec.name:
        yield Fault(
            f"the CaseSet calls itself {data.name!r} and is registered as {subject.spec.name!r}",
            "records name the one, tasks the other",
            "give both the same name",
        )
    if not any(case.split == "test" for case in data.cases):
        yield Fault(
            "no case of the split 'test'",
            "only those are edited",
            "set split='test' (the default) on what is to be asked",
        )


def _left_out(subject: Subject) -> Iterator[Fault]:
    skipped, cases = subject.data.skipped, subject.data.cases
    if len(skipped) > SHARE * (len(skipped) + len(cases)):
        first = f"record {skipped[0].record}: {skipped[0].field} {skipped[0].reason}"
        yield Fault(
            f"{len(skipped)} records are left out and {len(cases)} kept; {first}",
            "scores would be of a part of the data that nobody chose",
            "correct the reader, or the records (`editharness validate FILE` names the first)",
        )


def _hash(subject: Subject) -> Iterator[Fault]:
    said, known = subject.data.sha256, file_sha256(subject.file)
    if said != known:
        yield Fault(
            f"the CaseSet's sha256 is {said[:12] or 'empty'}, the file's {known[:12]}",
            "a record names it, so that everyone can tell that they read the same file",
            "return hashlib.sha256(path.read_bytes()).hexdigest(), or use editharness.data.cases.collect",
        )
    declared = {source.sha256 for source in subject.spec.sources if source.sha256}
    if declared and known not in declared:
        yield Fault(
            f"the file's sha256 is {known[:12]}, and its sources declare {min(declared)[:12]}",
            "it is not the file that others read",
            "fetch it again, or correct the Source where the publisher has changed it",
        )


def _same_again(subject: Subject) -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(subject.file, Path(folder) / f"copy{subject.file.suffix}"))
        for again, where in ((subject.read(subject.file), "a second time"), (subject.read(copy), "from another place")):
            if again != subject.data:
                pairs = zip(subject.data.cases, again.cases, strict=False)
                at = next((one.id for one, other in pairs if one != other), "the number of cases")
                yield Fault(
                    f"read {where}, the file gives other cases or another hash (first: {at})",
                    "two runs would edit different facts under one name",
                    "let nothing but the file's content decide: no clock, no unseeded draw, no order of a set, no path",
                )


def _ids(subject: Subject) -> Iterator[Fault]:
    seen: set[str] = set()
    for case in subject.data.cases:
        if not case.id or case.id in seen:
            yield Fault(
                f"the id {case.id!r} is {'the same as an earlier one' if case.id else 'empty'}",
                "answers are joined with cases by id",
                "number the records, as f'mine-{record.number}'",
            )
            return
        seen.add(case.id)


def _schema(subject: Subject) -> Iterator[Fault]:
    found: dict[str, tuple[Case, str, str]] = {}
    for case in subject.data.cases:
        for place, reason, mend in _wrong(case):
            found.setdefault(f"{place} {reason}", (case, place, mend))
    for seen, (case, _, mend) in found.items():
        yield Fault(f"case {case.id!r}: {seen}", "a question about it would be malformed", mend)


def _wrong(case: Case) -> Iterator[tuple[str, str, str]]:
    """What is wrong with one case: field, reason, mend. The same reason is told once."""
    if not case.prompt or case.prompt != case.prompt.rstrip():
        yield "prompt", "is empty or ends in white space", "end it right before the answer, without a space"
    if "{}" in case.prompt:
        yield "prompt", "still holds {}", "fill the subject in (editharness.data.cases.fill)"
    if not case.target or case.target != case.target.strip():
        yield "target", "is empty or has white space at its ends", "strip it, and leave records without one out"
    if case.target.casefold() in {old.casefold() for old in (case.old, *case.old_aliases) if old}:
        yield "target", "is the old answer", "leave the record out: nothing would be edited"
    if case.statement is not None and case.statement.count("{}") != 1:
        yield "statement", "does not hold {} exactly once", "put {} where the answer goes"
    if case.split not in get_args(Split):
        yield "split", f"is {case.split!r}", f"use one of {', '.join(get_args(Split))}"
    if case.prompt in case.paraphrases:
        yield "paraphrases", "hold the prompt itself", "leave it out: it would count as generalization"
    if not all(near.prompt and near.answer for near in (*case.neighbours, *case.portability)):
        yield "neighbours or portability", "hold a question without prompt or answer", "leave it out"
    for kind, prompt in case.training_forms:
        if kind not in get_args(FormKind) or (kind == "judged") != ("{}" in prompt):
            yield (
                "training_forms",
                f"hold {kind!r} with a prompt that does not fit",
                "judged prompts hold {}, others not",
            )


def _subjects(subject: Subject) -> Iterator[Fault]:
    for case in subject.data.cases:
        start, end = case.subject
        text = case.prompt[start:end] if 0 <= start < end <= len(case.prompt) else ""
        if not text or text != text.strip():
            yield Fault(
                f"case {case.id!r}: the span {list(case.subject)} cuts {text!r} out of {case.prompt!r}",
                "methods write at the subject's last token: at the wrong place here",
                "take the span from editharness.data.cases.fill or find_subject",
            )
            return


CHECKS: tuple[Check[Subject], ...] = (
    Check("spec", _spec, first=True),
    Check("licence", _licence),
    Check("import", _import),
    Check("reads", _reads, first=True),
    Check("left out", _left_out),
    Check("hash", _hash),
    Check("same again", _same_again),
    Check("ids", _ids),
    Check("schema", _schema),
    Check("subjects", _subjects),
)
"""In the order in which an author wants to hear of faults."""
