"""What a check finds, and all findings about one method, protocol, data set, judge or task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something that is done wrong: what was seen, why it matters, how to mend it. One line each."""

    seen: str
    why: str
    mend: str


@dataclass(frozen=True)
class Finding:
    """A fault with its place: which check saw it, of what, and on what (a model family, a data set, a file)."""

    check: str
    name: str
    place: str
    fault: Fault

    def __str__(self) -> str:
        place = f"{self.name} on {self.place}, {self.check}"
        return f"{place}: {self.fault.seen}\n  why:  {self.fault.why}\n  mend: {self.fault.mend}"


@dataclass(frozen=True)
class Report:
    """The outcome of all checks of one thing in one place.

    `passed` names the checks without a finding, `skipped` those that do not apply, each with the reason.
    """

    name: str
    place: str
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    skipped: Mapping[str, str]
    seconds: float

    def __str__(self) -> str:
        head = (
            f"{self.name} on {self.place}: {len(self.findings)} finding{'' if len(self.findings) == 1 else 's'}, "
            f"{len(self.passed)} check{'' if len(self.passed) == 1 else 's'} passed, "
            f"{len(self.skipped)} {'does' if len(self.skipped) == 1 else 'do'} not apply ({self.seconds:.1f} s)"
        )
        return "\n".join([head, *map(str, self.findings)])
