"""The grid of `editharness eval`: every schedule of --schedule with every number of --edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from editharness.errors import ScheduleError, UsageError
from editharness.types import Schedule

MOST_EDITS = 10**7


@dataclass(frozen=True)
class Cell:
    """One run of a grid."""

    schedule: Schedule
    edits: int


def parse_edits(text: str) -> tuple[int, ...]:
    """Numbers of edits from "100" or "10,50,100", in order; raises UsageError for what is no number from 1 on."""
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if not word.isascii() or not word.isdigit() or not 0 < int(word[:12]) < MOST_EDITS:
            raise UsageError(f"--edits {text}: {word!r} is no whole number from 1; write 100, or 10,50,100 for a grid")
    return tuple(sorted({int(word) for word in words}))


def parse_schedules(text: str) -> tuple[Schedule, ...]:
    """Schedules from "batch:10" or "batch:1,batch:10"; raises ScheduleError naming the part that is none."""
    try:
        return tuple(dict.fromkeys(Schedule.parse(word.strip()) for word in text.split(",")))
    except ScheduleError as error:
        raise ScheduleError(f"--{error}") from None


def cells(schedules: Sequence[Schedule], edits: Sequence[int]) -> tuple[list[Cell], list[str]]:
    """The runs of a grid and, in a line each, those left out because a batch is larger than all edits together.

    A single schedule with a single number of edits is taken as it is. Raises UsageError where nothing is left.
    """
    every = [Cell(schedule, number) for schedule in schedules for number in edits]
    if len(every) == 1:
        return every, []
    kept = [cell for cell in every if cell.schedule.size is None or cell.schedule.size <= cell.edits]
    if not kept:
        raise UsageError(f"--edits {','.join(map(str, edits))}: every schedule's batch is larger; give smaller batches")
    left = [f"left out: {cell.schedule} with {cell.edits} edits" for cell in every if cell not in kept]
    return kept, left
