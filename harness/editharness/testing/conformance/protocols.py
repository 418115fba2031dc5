"""Does a protocol tell an answer from no answer? Its controls on the packaged model, without a single edit.

    from editharness.testing import check_protocol

    def test_mine():
        registry = load_plugins()
        expected = {"efficacy": {"none*": (0.9, 1), "none": (0, 0.1)}}
        report = check_protocol(registry.protocol("mine"), registry, expected=expected)
        assert not report.findings, str(report)

A control is a row whose place is known beforehand: the model that was taught the old answer (`none*`) or is told the
new one (`context`), the unedited model (`none`), and answers given without a model (`constant`, `echo`, `target`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from editharness.config import RunConfig
from editharness.controls import columns_of
from editharness.protocol import Column, EvalProtocol, Row
from editharness.registry import Registry
from editharness.runner import Outcome, run
from editharness.testing.conformance.checks import Check, run_checks
from editharness.testing.conformance.importing import imports_quietly, module_of
from editharness.testing.conformance.report import Fault, Report
from editharness.types import ProtocolSpec, Schedule

Bounds = Mapping[str, Mapping[Row, tuple[float, float]]]
"""Column -> row -> where its mean must lie, both ends included."""
DATA = "pocket"
EDITS = 12
MARGIN = 0.3
"""How far the model that knows must stand above the best null answer."""
KNOW: tuple[Row, ...] = ("none*", "context")
SAYS_IT: Row = "target"
"""The null row that says the target whatever is asked: near the top where a protocol asks only for the target."""


class Silent:
    """Hears how far a run is and says nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Nothing."""

    def advance(self, done: int = 1) -> None:
        """Nothing."""


@dataclass
class Subject:
    """A protocol and, from the first use on, a run of it without an edit on `DATA`."""

    spec: ProtocolSpec
    registry: Registry
    expected: Bounds = field(default_factory=dict)

    @cached_property
    def protocol(self) -> EvalProtocol:
        """The protocol's own object."""
        return cast("EvalProtocol", self.registry.resolve(self.spec.ref)())

    @cached_property
    def outcome(self) -> Outcome:
        """The run: every control, asked."""
        task = f"{self.spec.name}_{DATA}"
        config = RunConfig(method="none", task=task, edits=EDITS, schedule=Schedule.parse("single"))
        return run(config, self.registry, Silent())

    @property
    def columns(self) -> Mapping[Row, tuple[Column, ...]]:
        """The columns of every control."""
        return self.outcome.columns


def check_protocol(
    spec: ProtocolSpec, registry: Registry, *, expected: Bounds | None = None, only: Collection[str] = (),
    skip: Mapping[str, str] | None = None,
) -> Report:  # fmt: skip
    """Run every check (or `only` some, by name) of one protocol with the packaged model, on the CPU.

    `expected` says where controls must stand beyond the ranked column. `skip` maps checks that cannot apply to the
    reason. Raises UnknownNameError for a name that is no check; whatever the protocol itself raises is a finding.
    """
    debug = f"run `editharness eval --method none --task {spec.name}_{DATA} --edits {EDITS}` and follow its error"
    subject = Subject(spec, registry, expected or {})
    return run_checks(spec.name, DATA, subject, CHECKS, only=only, skip=skip, debug=debug)


def _spec(subject: Subject) -> Iterator[Fault]:
    found, spec = subject.registry.resolve(subject.spec.ref), subject.spec
    if not (isinstance(found, type) and issubclass(found, EvalProtocol)):
        yield Fault(
            f"{spec.ref} is no class derived from editharness.protocol.EvalProtocol",
            "the runner calls what that class defines",
            "derive from EvalProtocol and define select, arms, probes, summarise and hashed",
        )
        return
    said = (subject.protocol.name, subject.protocol.version)
    if said != (spec.name, spec.version):
        yield Fault(
            f"is registered as {spec.name!r}, version {spec.version}, and calls itself {said[0]!r}, version {said[1]}",
            "a record names both, and two boards would be mixed",
            "give the class the name and version of the ProtocolSpec",
        )


def _tasks(subject: Subject) -> Iterator[Fault]:
    protocol = subject.protocol
    asked = {*protocol.screening(), *(probe.task for probe in protocol.probes(Schedule.parse("all"), ()))}
    for task in sorted(asked):
        if task.format(data=DATA) not in subject.registry.tasks:
            yield Fault(
                f"there is no task {task.format(data=DATA)!r}",
                f"controls can only be tried on {DATA}, whose model is known to know the answers",
                f"register a folder with a YAML that has `task: {task.format(data=DATA)}` (register_tasks)",
            )


def _hashed(subject: Subject) -> Iterator[Fault]:
    text = json.dumps(subject.protocol.hashed(), default=repr, sort_keys=True)
    again = EvalProtocol.digest(subject.registry.resolve(subject.spec.ref)())
    if not subject.protocol.hashed():
        yield Fault(
            "hashed() is empty",
            "a record could not tell two versions of the protocol apart",
            "return the tasks, the scorer and whatever else moves the numbers",
        )
    if " at 0x" in text or again != subject.protocol.digest():
        yield Fault(
            "hashed() holds an object whose text changes from run to run",
            "two runs of one protocol would seem to be of two",
            "return texts, numbers and lists of these",
        )


def _rows(subject: Subject) -> Iterator[Fault]:
    protocol, columns = subject.protocol, subject.columns
    for row in protocol.controls:
        if not any(column.values for column in columns.get(row, ())):
            yield Fault(
                f"the control {row!r} has no value in any column",
                "a board shows controls so that a reader can see what a score is worth",
                "give it columns in summarise(), or leave it out of `controls`",
            )
    names = {column.name for found in columns.values() for column in found}
    if protocol.ranked_by not in names:
        yield Fault(
            f"ranked_by is {protocol.ranked_by!r}, and the columns are {', '.join(sorted(names)) or 'none'}",
            "a board could not be ordered",
            "set ranked_by to the name of a column",
        )
    for name in sorted(names - set(protocol.glossary)):
        yield Fault(
            f"the column {name!r} has no line in the glossary",
            "`editharness metrics` could not explain it",
            "add its formula in one line to `glossary`",
        )


def _values(subject: Subject) -> Iterator[Fault]:
    cases = {case.id for case in subject.outcome.cases}
    for row, found in subject.columns.items():
        for column in found:
            low = 0 if column.proportion else -1
            bad = [(case, v) for case, v in column.values.items() if not (math.isfinite(v) and low <= v <= 1)]
            if bad:
                yield Fault(
                    f"{column.name!r} of {row!r} is {bad[0][1]} for case {bad[0][0]}: not in [{low}, 1]",
                    "intervals are computed for shares or their differences",
                    "scale the score, or set proportion=False for a difference",
                )
            strange = sorted(set(column.values) - cases)
            if strange:
                yield Fault(
                    f"{column.name!r} of {row!r} has a value for {strange[0]!r}, which is no case of the run",
                    "values are joined with cases by id",
                    "key values by Answer.case, as answers.scores() does",
                )


def _pure(subject: Subject) -> Iterator[Fault]:
    made = subject.outcome
    # twice: the first call of a new object sees no state that an earlier one left
    again = [columns_of(subject.protocol, made.answers, made.cases) for _ in range(2)]
    if any(columns != made.columns for columns in again):
        yield Fault(
            "summarise() gives other columns when it is called again with the same answers",
            "`editharness verify` recomputes every score from the stored answers",
            "make summarise a pure function: no state on self, no random draw, no clock",
        )


def _ranked(subject: Subject) -> Iterator[Fault]:
    name = subject.protocol.ranked_by
    means = {row: found[name] for row in subject.columns if name in (found := _means(subject.columns[row]))}
    known = {row: means[row] for row in KNOW if row in means}
    nulls = {row: mean for row, mean in means.items() if row not in (*KNOW, SAYS_IT)}
    why = "what a board is sorted by must tell a model that knows from one that does not"
    if not known or not nulls:
        lacks = " nor ".join(KNOW) if not known else "any row that does not know the answer"
        yield Fault(f"{name!r} has no value for {lacks}", why, "give these controls the ranked column in summarise()")
        return
    best = max(nulls, key=lambda row: nulls[row])
    top = max(known, key=lambda row: known[row])
    if known[top] < nulls[best] + MARGIN:
        yield Fault(
            f"{name!r} is {known[top]:.3f} for {top!r}, the model that knows, and {nulls[best]:.3f} for {best!r}, "
            f"which does not: less than {MARGIN} apart",
            why,
            "score what only knowledge of the edit can give, say the difference to a control question",
        )


def _expected(subject: Subject) -> Iterator[Fault]:
    rows = {row: _means(found) for row, found in subject.columns.items()}
    for column, bounds in subject.expected.items():
        for row, (low, high) in bounds.items():
            mean = rows.get(row, {}).get(column)
            if mean is None or not low <= mean <= high:
                said = "not there" if mean is None else f"{mean:.3f}"
                yield Fault(
                    f"{column!r} of {row!r} is {said}, not in [{low}, {high}]",
                    "theory puts this control there: elsewhere, the column measures something else",
                    "correct summarise() or the task's scorer; change `expected` only with a reason",
                )


def _means(columns: Any) -> dict[str, float]:
    """Each column's mean, of those that have values."""
    return {c.name: sum(c.values.values()) / len(c.values) for c in columns if c.values}


def _imported(subject: Subject) -> Iterator[Fault]:
    return imports_quietly(module_of(subject.spec.ref))


def _nothing_expected(subject: Subject) -> str:
    return "" if subject.expected else "no places are expected of controls (expected=...)"


CHECKS: tuple[Check[Subject], ...] = (
    Check("spec", _spec, first=True),
    Check("import", _imported),
    Check("hash", _hashed),
    Check("tasks", _tasks, first=True),
    Check("controls", _rows, first=True),
    Check("values", _values),
    Check("pure", _pure),
    Check("ranked column", _ranked),
    Check("expected places", _expected, _nothing_expected),
)
"""Cheap ones first; from "controls" on they look at one run of the packaged model."""
