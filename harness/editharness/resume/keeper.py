"""Entries by name, kept in numbered files. An entry is JSON facts with tensors by name.

    000003.json + 000003.safetensors      entries that were added, for good
    latest-000003.json + .safetensors     those that are replaced as the run goes on; only the newest pair is kept

A pair's JSON is written last, each file under a temporary name, flushed to the disk and renamed: a pair is whole or not
there. Tensors are known by the hash of their content, so that equal ones are stored once and a damaged one is never
used. Files are ordered by number, never by time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from editharness.resume.whole import told, write_whole

if TYPE_CHECKING:
    from torch import Tensor

SECONDS = 1.0
EVERY = "EDITHARNESS_KEEP_SECONDS"
"""Environment variable: the least seconds between two writes (default 1)."""
LATEST, TENSORS = "latest-", ".safetensors"
SHARED = "unedited "
"""How the name of an entry begins that depends on no edit: other runs on the same loaded model may use it."""
_OF_RUN, _OF_WRITING = 0.01, 10.0


@dataclass(frozen=True)
class Entry:
    """Facts that JSON can hold, and tensors by name."""

    facts: Any
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stored:
    """An entry as it lies on the disk: tensors by their content, with the device that they were on."""

    facts: Any
    tensors: Mapping[str, tuple[str, str]]


class Keeper:
    """The entries of one run. Without a folder nothing is kept and nothing found.

    `put` holds an entry back until a write is due: after a second, a hundredth of the time so far, or ten times what
    the last write took, whichever is longest. So a kill costs little work, and keeping little time.
    """

    def __init__(self, folder: Path | None = None, shared: dict[str, Entry] | None = None) -> None:
        self.folder, self.shared = folder, shared
        self.clock: Callable[[], Mapping[str, float]] = dict
        self._entries: dict[str, _Stored] = {}
        self._latest: dict[str, _Stored] = {}
        self._places: dict[str, Path] = {}
        self._new: dict[str, _Stored] = {}
        self._held: dict[str, Tensor] = {}
        self._loaded: WeakValueDictionary[str, Tensor] = WeakValueDictionary()
        self._number = 0
        self._began = self._wrote = time.monotonic()
        self._took = 0.0
        if folder is not None:
            self._read(folder)

    def __len__(self) -> int:
        return len(self._entries)

    def facts(self, name: str) -> Any:
        """The facts of an entry, whatever became of its tensors; None where it is not there."""
        stored = self._latest.get(name) or self._entries.get(name)
        return stored.facts if stored is not None else None

    def get(self, name: str) -> Entry | None:
        """The entry of this name with tensors of its own; None where it is not there or damaged."""
        stored = self._latest.get(name) or self._entries.get(name)
        if stored is None:
            return self.shared.get(name) if self.shared is not None else None
        found = self._find({digest for digest, _ in stored.tensors.values()})
        if found is None:
            return None
        return Entry(stored.facts, {key: found[digest].to(to) for key, (digest, to) in stored.tensors.items()})

    def put(self, name: str, entry: Entry, *, latest: bool = False) -> None:
        """Keep an entry, for good or (`latest`) until the next of its name. Raises RecordError for a full disk."""
        if self.shared is not None and name.startswith(SHARED) and not entry.tensors:
            self.shared[name] = entry
        if self.folder is None:
            return
        from editharness.resume.tensors import content

        tensors = {}
        for key, tensor in entry.tensors.items():
            digest = content(tensor)
            tensors[key] = (digest, str(tensor.device))
            if digest not in self._places:
                self._held[digest] = tensor
        stored = _Stored(entry.facts, tensors)
        if latest:
            self.forget(name, but=stored)
            self._latest[name] = stored
        else:
            self._entries[name] = self._new[name] = stored
        if self._due():
            self.flush()

    def forget(self, name: str, but: _Stored | None = None) -> None:
        """Let go of an entry that was kept as `latest`, and of its tensors where nothing else needs them."""
        old = self._latest.pop(name, None)
        if old is None:
            return
        needed = [*self._new.values(), *self._latest.values(), *([but] if but else [])]
        for digest in _digests([old]) - _digests(needed):
            self._held.pop(digest, None)

    def flush(self) -> None:
        """Write what is held back; raises RecordError where that fails, and what was kept before stays."""
        if self.folder is None or not (self._new or self._latest):
            return
        began = time.monotonic()
        with told(self.folder):
            if self._new:
                self._write("", self._new)
            self._latest["clock"] = _Stored(dict(self.clock()), {})
            self._write(LATEST, self._latest)
        self._new = {}
        self._held = {}
        self._wrote = time.monotonic()
        self._took = self._wrote - began

    def _due(self) -> bool:
        now = time.monotonic()
        least = max(_seconds(), _OF_RUN * (now - self._began), _OF_WRITING * self._took) if _seconds() else 0.0
        return now - self._wrote >= least

    def _write(self, kind: str, entries: Mapping[str, _Stored]) -> None:
        assert self.folder is not None
        self._number += 1
        path = self.folder / f"{kind}{self._number:06}.json"
        used = _digests(entries.values())
        fresh = {digest: self._held[digest] for digest in used - self._places.keys()}
        if fresh:
            from editharness.resume.tensors import write_tensors

            write_tensors(fresh, path.with_suffix(TENSORS))
        places = {digest: self._places.get(digest, path.with_suffix(TENSORS)) for digest in used}
        body = json.dumps(
            {
                "entries": {name: [entry.facts, dict(entry.tensors)] for name, entry in entries.items()},
                "files": {digest: place.name for digest, place in places.items()},
            }
        )
        write_whole(path, json.dumps({"sha256": _sha256(body), "body": body}))
        self._places |= places
        if kind:
            self._drop_older(path, set(places.values()))

    def _drop_older(self, path: Path, needed: set[Path]) -> None:
        """Remove older latest pairs; tensors that the new one leans on stay."""
        assert self.folder is not None
        for old in self.folder.glob(f"{LATEST}*"):
            if old != path and old not in needed:
                old.unlink(missing_ok=True)
        self._places = {d: place for d, place in self._places.items() if place.exists()}

    def _read(self, folder: Path) -> None:
        """Take up every whole pair, in order; what is torn is left out."""
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stem[-6:]):
            number = path.stem.removeprefix(LATEST)
            if not number.isdecimal():
                continue
            self._number = max(self._number, int(number))
            pair = _read_pair(path)
            if pair is None:
                continue
            entries, files = pair
            self._places |= {digest: folder / name for digest, name in files.items()}
            if path.stem.startswith(LATEST):
                self._latest = entries
            else:
                self._entries |= entries

    def _find(self, digests: set[str]) -> dict[str, Tensor] | None:
        """Tensors by content, those at hand or from their files; None where one is missing or damaged."""
        found = {d: t for d in digests if (t := self._held.get(d, self._loaded.get(d))) is not None}
        if len(found) == len(digests):
            return found
        from editharness.resume.tensors import read_tensors

        by_file: dict[Path, list[str]] = {}
        for digest in digests - found.keys():
            if digest not in self._places:
                return None
            by_file.setdefault(self._places[digest], []).append(digest)
        for path, wanted in by_file.items():
            found |= read_tensors(path, wanted)
        self._loaded.update(found)
        return found if digests <= found.keys() else None


NOTHING = Keeper()
"""Keeps nothing."""


def _seconds() -> float:
    return float(os.environ.get(EVERY, SECONDS))


def _digests(entries: Iterable[_Stored]) -> set[str]:
    return {digest for entry in entries for digest, _ in entry.tensors.values()}


def _read_pair(path: Path) -> tuple[dict[str, _Stored], dict[str, str]] | None:
    """The entries of one pair, and the file of each tensor that they need; None for a file that is not whole."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["sha256"] != _sha256(raw["body"]):
            return None
        body = json.loads(raw["body"])
        entries = {
            name: _Stored(facts, {key: (digest, device) for key, (digest, device) in tensors.items()})
            for name, (facts, tensors) in body["entries"].items()
        }
        return entries, {digest: Path(name).name for digest, name in body["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
