"""What a check finds, and all findings about one method on one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """Something a method does wrong: what was seen, why it matters, how to mend it. One line each."""

    seen: str
    why: str
    mend: str


@dataclass(frozen=True)
class Finding:
    """A fault with its place: which check saw it, of which method, on which model family."""

    check: str
    method: str
    family: str
    fault: Fault

    def __str__(self) -> str:
        place = f"{self.method} on {self.family}, {self.check}"
        return f"{place}: {self.fault.seen}\n  why:  {self.fault.why}\n  mend: {self.fault.mend}"


@dataclass(frozen=True)
class Report:
    """The outcome of all checks of one method on one model family.

    `passed` names the checks without a finding, `skipped` those that do not apply, each with the reason.
    """

    method: str
    family: str
    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    skipped: Mapping[str, str]
    seconds: float

    def __str__(self) -> str:
        head = (
            f"{self.method} on {self.family}: {len(self.findings)} finding{'' if len(self.findings) == 1 else 's'}, "
            f"{len(self.passed)} checks passed, {len(self.skipped)} do not apply ({self.seconds:.1f} s)"
        )
        return "\n".join([head, *map(str, self.findings)])
