"""record.json of a run: JSON, its schema, every field."""

from __future__ import annotations

import re
from pathlib import Path

from editharness.errors import FileFault, RecordError
from editharness.store import read_record
from editharness.validating.lines import json_line, steps

_PLACE = re.compile(r"([\w.\[\]-]+): (.*)", re.S)
_LINE = re.compile(r"line (\d+) column")


def validate(path: Path) -> str:
    """Which run it is; raises FileFault for the first field that does not fit the schema."""
    try:
        record = read_record(path)
    except RecordError as error:
        raise _fault(path, str(error).removeprefix(f"{path}: ")) from None
    return f"{record.id}; `editharness verify {path.parent}` recomputes its scores"


def _fault(path: Path, said: str) -> FileFault:
    mend = "restore the file that the run wrote: an edited record is refused, so run its command again"
    if (line := _LINE.search(said)) is not None:
        return FileFault(path, int(line[1]), "", said, mend)
    place = _PLACE.fullmatch(said)
    if place is None or place[1] == "not JSON":
        return FileFault(path, 0, "", said, mend)
    text = path.read_text(encoding="utf-8", errors="replace")
    return FileFault(path, json_line(text, steps(place[1])), place[1], place[2], mend)
