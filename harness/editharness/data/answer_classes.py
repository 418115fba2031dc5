"""What a rule can know of an answer: its continent, its language family, its century, its size.

Names stand in a table of ours (`answer_classes.csv`). Left out on purpose: what lies on two continents (Russia, Turkey,
Egypt, Indonesia, Istanbul) and names that several places of some size share (Birmingham, Valencia, Georgia).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from editharness.data.templates import read_rows

CONTINENTS: Final = frozenset({"Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America"})
ClassKind = Literal["country", "city", "language", "year", "number"]

_NUMBER: Final = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_YEAR: Final = re.compile(r"\b(1\d{3}|20\d{2})\b")
_MONTHS: Final = (
    "january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec|in|the|of|ad|ce"
)
_DATE: Final = re.compile(rf"(?:\b(?:{_MONTHS})\b|\d{{1,2}}(?:st|nd|rd|th)?|[\s,./-])*", re.IGNORECASE)


@dataclass(frozen=True)
class AnswerClass:
    """The kind of an answer and its class among its kind: ("country", "Europe"), ("year", "20th century")."""

    kind: ClassKind
    name: str


def _table() -> Mapping[str, AnswerClass]:
    kinds: dict[str, ClassKind] = {"country": "country", "city": "city", "language": "language"}
    return MappingProxyType(
        {
            name: AnswerClass(kinds[row["kind"]], row["class"])
            for row in read_rows("answer_classes.csv")
            for name in row["names"].split(";")
        }
    )


NAMED: Final = _table()


def year_of(answer: str) -> int | None:
    """The year of a year or date written in figures, from 1000 to 2099; None for anything else."""
    found = _YEAR.findall(answer)
    if len(found) != 1 or not _DATE.fullmatch(_YEAR.sub("", answer)):
        return None
    return int(found[0])


def number_of(answer: str) -> float | None:
    """A number written in figures, thousands with commas or without; None for anything else, years included."""
    if not _NUMBER.fullmatch(answer) or year_of(answer) is not None:
        return None
    return float(answer.replace(",", ""))


def century(year: int) -> str:
    """1900 -> "19th century", 1901 -> "20th century"."""
    number = (year - 1) // 100 + 1
    ending = "th" if number // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending} century"


def classes(target: str, old: str) -> tuple[AnswerClass, AnswerClass] | None:
    """The classes of both answers if they are of one kind and in two classes; None where that is not known."""
    first, second = _class_of(target), _class_of(old)
    if first is not None and second is not None and first.kind == second.kind:
        return (first, second) if first.name != second.name else None
    sizes = number_of(target), number_of(old)
    if sizes[0] is None or sizes[1] is None or sizes[0] == sizes[1]:
        return None
    up, down = ("greater than", "less than") if sizes[0] > sizes[1] else ("less than", "greater than")
    return AnswerClass("number", f"{up} {_plain(sizes[1])}"), AnswerClass("number", f"{down} {_plain(sizes[0])}")


def _class_of(answer: str) -> AnswerClass | None:
    year = year_of(answer)
    if year is None:
        return NAMED.get(answer)
    return AnswerClass("year", century(year)) if year % 100 else None  # whether 2000 is of the 20th is disputed


def _plain(size: float) -> str:
    return str(int(size)) if size.is_integer() else str(size)
