"""A folder that appears under its name when it is complete, and leaves nothing behind when it is not."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from editharness.durable import sync_folder
from editharness.errors import RecordError, UsageError


def check_free(folder: Path) -> None:
    """Raise UsageError where something is at `folder` already (an empty folder is nothing), RecordError where no
    folder can be made there."""
    if not folder.name:
        raise UsageError(f"--save {str(folder)!r}: name a folder to make")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"--save {folder}: is a {'link' if folder.is_symlink() else 'file'}; name a new folder")
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"--save {folder}: is in use (not empty); name a new folder")
    except OSError as error:
        raise _unwritable(folder, error) from None
    above = next(place for place in folder.absolute().parents if place.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise RecordError(f"--save {folder}: no folder can be made in {above}; name another one")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to write into, which takes its name when the context ends well, and goes otherwise.

    Raises as `check_free`, and RecordError where the disk refuses.
    """
    from safetensors import SafetensorError

    check_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        yield part
        _open_to_all(part)
        check_free(folder)
        if folder.is_dir():
            folder.rmdir()
        os.replace(part, folder)
    except (OSError, SafetensorError) as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(folder.parent)


def _open_to_all(folder: Path) -> None:
    """Ordinary rights: temporary folders, and files of safetensors, are the owner's alone."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _unwritable(folder: Path, error: Exception) -> RecordError:
    return RecordError(f"--save {folder}: cannot be written ({getattr(error, 'strerror', None) or error})")
