"""The folder of a run that is being made, `<output>/.<run id>.part`: locked, kept when interrupted, gone when done.

    kept.json  000001.json ...     what the run depends on; what was made so far (see `keeper`)
    finishing                      where the record is about to appear
    lock                           held while a process works here; the system lets go of it when that process ends

The record is written inside and then moved to `<output>/<id>` in one step, so that it is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from editharness.durable import sync_folder
from editharness.errors import EditHarnessError, RecordError
from editharness.resume.keeper import Entry, Keeper
from editharness.resume.whole import write_text

LOCK, IDENTITY, FINISHING = "lock", "kept.json", "finishing"


class Unfinished:
    """A locked folder; made by `unfinished`. `tell` says a line to the user."""

    def __init__(self, path: Path, first: str, tell: Callable[[str], None]) -> None:
        self.path, self.first, self.tell = path, first, tell
        self.root = path.parent
        self.shared: dict[str, Entry] | None = None
        """Answers without any edit, from other runs of this process on the same loaded model."""
        self.kept = Keeper()
        """Nothing, until `open` is told what the run depends on."""

    def finished(self) -> Path | None:
        """The record that this run has become, where it was stopped between that and its last act."""
        with suppress(OSError):
            record = self.root / (self.path / FINISHING).read_text(encoding="utf-8")
            return record if record.is_file() else None
        return None

    def open(self, identity: Mapping[str, str]) -> Keeper:
        """What was kept by a run that depended on the same; anything else is removed, and the user is told why."""
        before = self._identity()
        differs = [name for name in identity if before is not None and before.get(name) != identity[name]]
        if before != identity:
            self.clear()
            write_text(self.path / IDENTITY, json.dumps(identity))
        self.kept = Keeper(self.path, self.shared)
        if differs:
            self.tell(f"{self.path}: kept by a run with other {' and '.join(differs)}: starting anew")
        elif len(self.kept):
            self.tell(f"{self.path}: going on from what an interrupted run has kept")
        return self.kept

    def record_id(self) -> str:
        """A free id for the record: the same run made again gets a number behind it, and nothing is overwritten."""
        number, found = 1, self.first
        while os.path.lexists(self.root / found):
            number += 1
            found = f"{self.first}-{number}"
        shutil.rmtree(self.path / found, ignore_errors=True)
        return found

    def publish(self, record: Path) -> Path:
        """Move a record and its folder, which were written inside this one, to their place; the record's new path."""
        target = self.root / record.relative_to(self.path)
        write_text(self.path / FINISHING, str(record.relative_to(self.path)))
        try:
            record.parent.rename(target.parent)
            sync_folder(self.root)
        except OSError as error:
            raise RecordError(f"{target.parent}: cannot be written ({error.strerror})") from None
        return target

    def clear(self) -> None:
        """Remove everything but the lock."""
        for path in self.path.iterdir():
            if path.name != LOCK:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    def remove(self) -> None:
        """Remove the folder; the lock goes last."""
        with suppress(OSError):
            self.clear()
            (self.path / LOCK).unlink()
            self.path.rmdir()

    def _identity(self) -> Mapping[str, str] | None:
        """What the kept entries depend on; None where there are none."""
        with suppress(OSError, ValueError):
            found = json.loads((self.path / IDENTITY).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else None
        return None


@contextmanager
def unfinished(root: Path, run_id: str, tell: Callable[[str], None], *, fresh: bool = False) -> Iterator[Unfinished]:
    """The folder of a run, for this process alone; `fresh` forgets what is kept there.

    Left without an error the folder is removed. On Ctrl-C or an error what was made is written down and stays, unless
    there is nothing. Raises RecordError where another process has the run, or where nothing can be written.
    """
    path = root / f".{run_id}.part"
    with _locked(path):
        part = Unfinished(path, run_id, tell)
        try:
            if fresh:
                part.clear()
            yield part
        except (KeyboardInterrupt, EditHarnessError) as error:
            with suppress(RecordError):
                part.kept.flush()
            if not len(part.kept):
                part.remove()
            elif isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt("what is done is kept: give the same command to go on") from None
            raise
        part.remove()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = FileLock(path / LOCK, timeout=0)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RecordError(f"{path}: another process is making this run; wait for it or give another --output") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RecordError(f"{path.parent}: cannot be written ({reason}); give another --output") from None
    try:
        yield
    finally:
        lock.release()
