"""Files that are whole and on the disk, or not there: a temporary name, a flush, a rename."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from editharness.durable import sync_folder
from editharness.errors import RecordError


def write_text(path: Path, text: str) -> None:
    """Write a file, whole and on the disk or not at all; raises RecordError."""
    with told(path.parent):
        write_whole(path, text)


def write_whole(path: Path, text: str) -> None:
    """As `write_text`; raises OSError."""
    part = path.with_name(path.name + ".new")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """A failed write as one line for the user."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RecordError(
            f"{folder}: cannot be written ({reason}); what is kept there stays: mend this and give the same command"
        ) from error
