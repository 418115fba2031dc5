"""Rows of a CSV file whose cells are read by type; whatever is wrong is named with file, line and field."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from editharness.errors import DataError


@dataclass(frozen=True)
class Row:
    """One row: `where` names file and line."""

    where: str
    cells: Mapping[str, str]

    def text(self, name: str) -> str:
        """A cell without white space at its edges; it may be empty."""
        return self.cells[name].strip()

    def filled(self, name: str) -> str:
        """A cell that must hold something."""
        return self.text(name) or self._fail(name, "is empty")

    def one_of(self, name: str, known: Sequence[str]) -> str:
        """A cell that holds one of `known`."""
        found = self.filled(name)
        return found if found in known else self._fail(name, f"is {found!r}, not one of {', '.join(known)}")

    def count(self, name: str) -> int:
        """A whole number from 1."""
        found = self.filled(name)
        if not (found.isascii() and found.isdigit() and int(found) > 0):
            self._fail(name, f"is {found!r}, not a whole number from 1")
        return int(found)

    def share(self, name: str) -> float:
        """A number from 0 to 1."""
        return self._number(name, self.filled(name), 0, 1)

    def percent(self, name: str) -> float | None:
        """A number from -100 to 100, None where the cell is empty."""
        found = self.text(name)
        return self._number(name, found, -100, 100) if found else None

    def _number(self, name: str, found: str, low: float, high: float) -> float:
        try:
            number = float(found)
        except ValueError:
            self._fail(name, f"is {found!r}, not a number")
        if not low <= number <= high:  # also refuses what is not a number ("nan")
            self._fail(name, f"is {found}, not from {low} to {high}")
        return number

    def _fail(self, name: str, reason: str) -> NoReturn:
        raise DataError(f"{self.where}: field {name!r} {reason}")


def read_rows(path: Path, columns: Sequence[str]) -> list[Row]:
    """All rows of a CSV file that has exactly these columns; raises DataError with file and line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__})") from None
    found = list(_lines(path.name, text))
    if not found or found[0][1] != list(columns):
        raise DataError(f"{path.name} line 1: the columns are not {','.join(columns)}")
    return [_row(f"{path.name} line {number}", cells, columns) for number, cells in found[1:] if cells]


def _lines(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Every row with the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(f"{name} line {reader.line_num}: not CSV: {error}") from None


def _row(where: str, cells: Sequence[str], columns: Sequence[str]) -> Row:
    if len(cells) != len(columns):
        raise DataError(f"{where}: {len(cells)} fields instead of {len(columns)}")
    return Row(where, dict(zip(columns, cells, strict=True)))
