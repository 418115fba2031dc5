"""A submission as one zip file: packed the same way every time, and unpacked as what a stranger made."""

from __future__ import annotations

import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from editharness.errors import RecordError
from editharness.store.write import replacing

_MOST_FILES = 10_000
_LARGEST_FILE, _LARGEST_IN_ALL = 256 * 2**20, 2**30
_LARGEST_RATIO = 200
"""JSON of answers packs about ten times; what packs two hundred times is made to fill a disk."""
_BROKEN = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
_BEGINNING = (1980, 1, 1, 0, 0, 0)


def pack(folder: Path, target: Path, names: Mapping[str, str]) -> None:
    """Write files of `folder` into a zip; `names`: path in the zip -> file. Equal files give equal bytes."""
    with replacing(target) as out, zipfile.ZipFile(out, "w") as packed:
        for inside, name in sorted(names.items()):
            facts = zipfile.ZipInfo(inside, _BEGINNING)
            facts.external_attr = (stat.S_IFREG | 0o644) << 16
            packed.writestr(facts, (folder / name).read_bytes(), zipfile.ZIP_DEFLATED)


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The files of a zip in a folder that is gone afterwards; RecordError for whatever does not belong in one."""
    with tempfile.TemporaryDirectory(prefix="editharness-") as folder:
        try:
            with zipfile.ZipFile(path) as packed:
                _unpack(packed, Path(folder))
        except RecordError as error:
            raise RecordError(f"{path}: {error}") from None
        except _BROKEN as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            raise RecordError(f"{path}: not a zip file that can be read ({problem})") from None
        yield Path(folder)


def _unpack(packed: zipfile.ZipFile, folder: Path) -> None:
    files = [one for one in packed.infolist() if not one.filename.endswith("/")]
    if len(files) > _MOST_FILES:
        raise RecordError(f"holds more than {_MOST_FILES} files")
    seen: set[str] = set()
    for one in files:
        _check(one)
        if one.filename.casefold() in seen:
            raise RecordError(f"{one.filename[:80]!r} stands twice")
        seen.add(one.filename.casefold())
    if sum(one.file_size for one in files) > _LARGEST_IN_ALL:
        raise RecordError(f"unpacks to more than {_LARGEST_IN_ALL // 2**20} MiB")
    for one in files:
        target = folder / one.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with packed.open(one) as file:
            data = file.read(one.file_size + 1)
        if len(data) != one.file_size:
            raise RecordError(f"{one.filename[:80]!r} is not of the size that it claims")
        target.write_bytes(data)


def _check(one: zipfile.ZipInfo) -> None:
    """Refuse a path that leaves the folder, what is no plain file, and what is far too large."""
    name, parts = one.filename, PurePosixPath(one.filename).parts
    kind = stat.S_IFMT(one.external_attr >> 16)
    if not name or name != one.orig_filename or "\\" in name or ":" in name or not name.isprintable():
        raise RecordError(f"{name[:80]!r} is no plain path")
    if name.startswith("/") or ".." in parts or any(len(part) > 200 for part in parts) or len(parts) > 8:
        raise RecordError(f"{name[:80]!r} leaves its folder, or is too long")
    if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or one.flag_bits & 1:
        raise RecordError(f"{name[:80]!r} is packed in a way that is not read here: use plain zip")
    if kind not in (0, stat.S_IFREG):
        raise RecordError(f"{name[:80]!r} is a link or a device")
    if one.file_size > _LARGEST_FILE or one.file_size > _LARGEST_RATIO * max(one.compress_size, 1000):
        raise RecordError(f"{name[:80]!r} unpacks to {one.file_size / 2**20:.0f} MiB: far too much for what it is")
