"""What verification finds: one line each, an error or a warning, with the file, the place in it and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from editharness.leaderboard.text import plain

MOST_ALIKE = 5
"""Of one kind so many are told; the rest are counted."""
_LONGEST = 600


@dataclass(frozen=True)
class Finding:
    """One disagreement. `place` is the field, line or case in the file ("": the file itself)."""

    level: Literal["error", "warning"]
    path: Path
    place: str
    problem: str

    def __str__(self) -> str:
        """One line that cannot act on a terminal, whatever a stranger wrote into the record."""
        where = f"{self.path}: {self.place}" if self.place else f"{self.path}"
        return plain(f"{self.level}: {where}: {self.problem}", _LONGEST)


def few(found: Iterable[Finding]) -> Iterator[Finding]:
    """The first findings of one kind, and a last one that counts the others."""
    last, count = None, 0
    for count, last in enumerate(found, 1):
        if count <= MOST_ALIKE:
            yield last
    if last is not None and count > MOST_ALIKE:
        yield Finding(last.level, last.path, "", f"... and {count - MOST_ALIKE} more like these")
