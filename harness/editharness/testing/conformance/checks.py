"""Running checks in order over one subject, of whatever kind: what they find, what passed, what does not apply."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from editharness.errors import UnknownNameError
from editharness.testing.conformance.report import Fault, Finding, Report

S = TypeVar("S")


def _applies(subject: object) -> str:
    return ""


@dataclass(frozen=True)
class Check(Generic[S]):
    """One check of a subject. `skipped` says why it does not apply to it, "" where it does.

    `first`: what it finds makes the later checks pointless, and they are not made.
    """

    name: str
    look: Callable[[S], Iterable[Fault]]
    skipped: Callable[[S], str] = _applies
    first: bool = False


def run_checks(
    name: str, place: str, subject: S, checks: Sequence[Check[S]], *, only: Collection[str] = (),
    skip: Mapping[str, str] | None = None, debug: str = "call it in a session of your own and follow the traceback",
) -> Report:  # fmt: skip
    """Every check (or `only` some, by name), and the report on `name` at `place`.

    `skip` maps checks that cannot apply to the reason. `debug` is the mend for what a check raises. Raises
    UnknownNameError for a name that is no check; whatever the subject itself raises is a finding.
    """
    skip = skip or {}
    for asked in (*only, *skip):
        if asked not in {check.name for check in checks}:
            raise UnknownNameError("check", asked, {check.name for check in checks})
    start = time.perf_counter()
    findings: list[Finding] = []
    passed: list[str] = []
    skipped: dict[str, str] = {}
    stopped = ""
    for check in checks:
        if only and check.name not in only:
            continue
        reason = skip.get(check.name) or stopped or check.skipped(subject)
        if reason:
            skipped[check.name] = reason
            continue
        faults = _faults(check, subject, debug)
        if not faults:
            passed.append(check.name)
        elif check.first:
            stopped = f"{check.name!r} failed"
        # what one check has told is not told again by the next
        known = {finding.fault.seen for finding in findings}
        findings += [Finding(check.name, name, place, fault) for fault in faults if fault.seen not in known]
    return Report(name, place, tuple(findings), tuple(passed), skipped, time.perf_counter() - start)


def _faults(check: Check[S], subject: S, debug: str) -> list[Fault]:
    found: list[Fault] = []
    try:
        # one by one: what was found before the subject raised is kept
        found.extend(check.look(subject))
    except Exception as error:
        said = " ".join(str(error).split())
        seen = f"raised {type(error).__name__}: {said}" if said else f"raised {type(error).__name__}"
        found.append(Fault(seen, "this check could not be made, and a run would end here", debug))
    return found
