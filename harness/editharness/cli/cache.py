"""`editharness cache list|clean [KIND ...]`: what is kept in the cache folder, and how to be rid of it."""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from editharness.cache import cache_folder
from editharness.cli.common import Table, add_format, natural, show_table
from editharness.errors import UnknownNameError, UsageError

KINDS: Mapping[str, tuple[str, str]] = {
    "data": ("data", "downloaded data files"),
    "moments": ("moments", "second moments of keys, by model and corpus"),
    "prepared": ("prepared", "trained editors, by method, model and cases"),
    "records": ("records.sqlite", "the index over records"),
    "verdicts": ("verdicts.sqlite", "what judges answered"),
}
"""What editharness makes in the cache, by its name there. Nothing else is ever removed: it may hold others' files."""
_DAY = 86_400


@dataclass(frozen=True)
class Kept:
    """The files of one kind: path, bytes and time of last change of each."""

    kind: str
    files: tuple[tuple[Path, int, float], ...]

    @property
    def bytes(self) -> int:
        """All of them together."""
        return sum(size for _, size, _ in self.files)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is to be done, with which kinds."""
    parser.add_argument("action", choices=("list", "clean"), help="show what is kept, or remove it")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; clean needs one, or all")
    parser.add_argument("--older-than", type=natural, metavar="DAYS", default=0, help="only files older than that")
    parser.add_argument("--dry-run", action="store_true", help="clean: say what would go, remove nothing")
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """List or clean; what is not there counts as empty."""
    folder = cache_folder()
    kept = [find(folder, kind, args.older_than) for kind in _kinds(args.kinds)]
    if args.action == "list":
        there = [(k.kind, KINDS[k.kind][1], len(k.files), size(k.bytes), str(folder / KINDS[k.kind][0])) for k in kept]
        show_table(Table("cache", ("kind", "what", "files", "size", "where"), there), args.format)
        return 0
    if not args.kinds:
        raise UsageError(f"cache clean: name what is to go ({', '.join(KINDS)}, or all)")
    if not args.dry_run:
        for one in kept:
            clean(folder, one)
    verb = "would go" if args.dry_run else "removed"
    rows = [(k.kind, len(k.files), size(k.bytes)) for k in kept]
    show_table(Table("cache", ("kind", f"files {verb}", "size"), rows), args.format)
    return 0


def find(folder: Path, kind: str, days: int = 0) -> Kept:
    """The files of one kind that are older than `days`; links are no files of ours."""
    before = time.time() - days * _DAY
    found = ((path, path.stat()) for path in _files(folder / KINDS[kind][0]))
    return Kept(kind, tuple((path, s.st_size, s.st_mtime) for path, s in found if not days or s.st_mtime < before))


def clean(folder: Path, kept: Kept) -> None:
    """Remove these files, and the folders that are empty then."""
    for path, _, _ in kept.files:
        path.unlink(missing_ok=True)
    root = folder / KINDS[kept.kind][0]
    if root.is_dir() and not root.is_symlink() and not any(_files(root)):
        shutil.rmtree(root)


def size(count: int) -> str:
    """Bytes for a person."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def _files(root: Path) -> Iterator[Path]:
    if not root.is_symlink():
        inside = sorted(root.rglob("*")) if root.is_dir() else [root]
        yield from (path for path in inside if path.is_file() and not path.is_symlink())


def _kinds(typed: list[str]) -> list[str]:
    for kind in typed:
        if kind != "all" and kind not in KINDS:
            raise UnknownNameError("kind", kind, [*KINDS, "all"], hint="(see editharness cache list)")
    return list(KINDS) if not typed or "all" in typed else list(dict.fromkeys(typed))
