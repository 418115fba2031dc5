"""Can a judge be trusted? The sanity battery, and whether it says the same twice, in any order and company.

from editharness.testing import check_judge

def test_mine():
    registry = load_plugins()
    report = check_judge(registry.judge("mine"), registry, options={"strict": "yes"})
    assert not report.findings, str(report)
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from editharness.judge import Item, Judge, Verdict
from editharness.judging.battery import battery
from editharness.judging.deciding import Bench, make_judge
from editharness.registry import Registry
from editharness.testing.conformance.checks import Check, run_checks
from editharness.testing.conformance.importing import imports_quietly, module_of
from editharness.testing.conformance.report import Fault, Report
from editharness.types import JudgeSpec

SAME_WHY = "an answer's verdict would depend on what else was asked, and a stored one could not be made again"
ALONE = 3
"""How many answers of the battery are also judged one by one."""


@dataclass
class Subject:
    """A judge with its options, made anew for every check that asks for one; verdicts are kept in `folder`."""

    spec: JudgeSpec
    registry: Registry
    options: Mapping[str, str]
    folder: Path

    def made(self) -> Bench:
        """A new judge, ready to be asked."""
        bench = make_judge(self.registry, self.spec.name, self.options, self.folder)
        bench.judge.ready()
        return bench

    @cached_property
    def bench(self) -> Bench:
        """The judge that most checks ask."""
        return self.made()

    @property
    def items(self) -> Sequence[Item]:
        """The battery's answers."""
        return [probe.item for probe in battery()]

    @cached_property
    def verdicts(self) -> Sequence[Verdict]:
        """What it says of the battery, all at once."""
        return self.bench.judge.verdicts(self.items)


def check_judge(
    spec: JudgeSpec, registry: Registry, *, options: Mapping[str, str] | None = None, only: Collection[str] = (),
    skip: Mapping[str, str] | None = None,
) -> Report:  # fmt: skip
    """Run every check (or `only` some, by name) of one judge. `options` are --judge-set values as typed.

    Raises JudgeError where the judge cannot be asked here (no server, no key), OptionError for options that it does not
    take, UnknownNameError for a name that is no check; whatever else the judge raises is a finding.
    """
    with tempfile.TemporaryDirectory() as folder:
        subject = Subject(spec, registry, options or {}, Path(folder))
        if isinstance(found := registry.resolve(spec.ref), type) and issubclass(found, Judge):
            subject.bench.identity()  # some judges find out only here that they lack a model
        debug = "call its verdicts() on editharness.judging.battery.battery() and follow the traceback"
        return run_checks(spec.name, "the battery", subject, CHECKS, only=only, skip=skip, debug=debug)


def _spec(subject: Subject) -> Iterator[Fault]:
    found = subject.registry.resolve(subject.spec.ref)
    if not (isinstance(found, type) and issubclass(found, Judge)):
        yield Fault(
            f"{subject.spec.ref} is no class derived from editharness.judge.Judge",
            "`editharness judge` calls what that class defines",
            "derive from Judge[YourOptions] and define verdicts()",
        )


def _identity(subject: Subject) -> Iterator[Fault]:
    found = [bench.identity() for bench in (subject.bench, subject.made())]
    first, second = (json.dumps(identity, sort_keys=True, default=repr) for identity in found)
    if first != second or " at 0x" in first:
        yield Fault(
            "identity() differs between two judges with the same options",
            "verdicts are kept under it: none would ever be found again",
            "return options, prompt and weights as texts and numbers, and nothing that changes from run to run",
        )


def _contract(subject: Subject) -> Iterator[Fault]:
    judge, items = subject.bench.judge, subject.items
    if len(subject.verdicts) != len(items):
        yield Fault(
            f"verdicts() gave {len(subject.verdicts)} verdicts on {len(items)} answers",
            "verdicts are joined with answers by their place",
            "return one Verdict per item, in order",
        )
    wanted = "graded (with a score in [0, 1]) or unscored" if judge.graded else "correct, incorrect or unscored"
    wrong = [v for v in subject.verdicts if not isinstance(v, Verdict) or not v.fits(graded=judge.graded)]
    if wrong:
        yield Fault(
            f"verdicts() gave {wrong[0]!r}",
            "a board counts only verdicts of the judge's own kind",
            f"a Verdict is {wanted}; `graded` says which kind the judge is",
        )


def _again(subject: Subject) -> Iterator[Fault]:
    yield from _differs(subject, subject.made().judge.verdicts(subject.items), "when it is asked again")


def _order(subject: Subject) -> Iterator[Fault]:
    backwards = list(reversed(subject.made().judge.verdicts(list(reversed(subject.items)))))
    yield from _differs(subject, backwards, "when the answers come in another order")


def _alone(subject: Subject) -> Iterator[Fault]:
    judge = subject.made().judge
    picked = subject.items[:: len(subject.items) // ALONE]
    found = {item.digest: judge.verdicts([item])[0] for item in picked}
    singly = [found.get(i.digest, v) for i, v in zip(subject.items, subject.verdicts, strict=True)]
    yield from _differs(subject, singly, "when an answer is judged alone")


def _differs(subject: Subject, verdicts: Sequence[Verdict], when: str) -> Iterator[Fault]:
    for item, one, other in zip(subject.items, subject.verdicts, verdicts, strict=True):
        near = abs((one.score or 0) - (other.score or 0)) <= 1e-3  # a model's rounding is no other verdict
        if one.label != other.label or not near:
            said = f"{_word(one)}, and {_word(other)} {when}"
            yield Fault(
                f"{item.given!r} to {item.question!r} is {said}",
                SAME_WHY,
                "keep nothing from call to call, judge each item by itself, and draw nothing at random",
            )
            return


def _word(verdict: Verdict) -> str:
    return verdict.label if verdict.score is None else f"{verdict.score:.3f}"


def _battery(subject: Subject) -> Iterator[Fault]:
    sanity = subject.bench.decide([]).sanity
    if sanity.failed:
        yield Fault(
            f"the sanity battery: {sanity.failed}",
            "these answers' verdicts nobody doubts: a judge that gets one kind wrong gets no column",
            "see editharness.judging.battery for every answer; an answer is data, not an order to the judge",
        )


def _imported(subject: Subject) -> Iterator[Fault]:
    return imports_quietly(module_of(subject.spec.ref))


CHECKS: tuple[Check[Subject], ...] = (
    Check("spec", _spec, first=True),
    Check("import", _imported),
    Check("identity", _identity),
    Check("contract", _contract, first=True),
    Check("same again", _again),
    Check("order", _order),
    Check("alone", _alone),
    Check("battery", _battery),
)
"""In the order in which an author wants to hear of faults."""
