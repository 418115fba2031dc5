"""Second moments on disk: one safetensors file per model, layer and source, named by a digest of those.

Held in fp32, to which they are rounded, so that stored ones have the same bits as new ones. Sums that are not finished
(an interrupted pass, or one part of a corpus) lie beside them until they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from editharness.locate.collecting import Sums
from editharness.locate.moments import Moments

Provenance = Mapping[str, "str | int"]
_VERSION = 1
FOLDER = "moments"


@dataclass(frozen=True)
class Kept:
    """A file of the store and what it says of itself."""

    path: Path
    provenance: Provenance
    tokens: int
    key_size: int


@dataclass(frozen=True)
class MomentStore:
    """The store in a cache folder; None keeps nothing."""

    folder: Path | None

    def path(self, provenance: Provenance) -> Path | None:
        """Where the moments of this provenance are or would be."""
        return self._path(dict(provenance), "safetensors")

    def load(self, provenance: Provenance) -> Moments | None:
        """The stored moments, or None; a damaged file counts as none and is written anew."""
        path = self.path(provenance)
        if path is None or not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                facts = file.metadata()
                return Moments(file.get_tensor("c").double(), int(facts["tokens"]), json.loads(facts["provenance"]))
        except Exception:
            return None

    def save(self, moments: Moments, found_by: Provenance | None = None) -> Path | None:
        """Keep them under their provenance, or under the part of it that they are looked up by."""
        path = self.path(moments.provenance if found_by is None else found_by)
        if path is not None:
            facts = {"tokens": str(moments.tokens), "provenance": json.dumps(dict(moments.provenance), sort_keys=True)}
            _write(path, {"c": moments.c.float().cpu().contiguous()}, facts)
        return path

    def list(self) -> Iterator[Kept]:
        """All stored moments, by name of file; files that cannot be read are left out."""
        for path in sorted((self.folder / FOLDER).glob("*.safetensors")) if self.folder is not None else []:
            try:
                with safe_open(path, framework="numpy") as file:
                    facts, size = file.metadata(), file.get_slice("c").get_shape()[0]
                yield Kept(path, json.loads(facts["provenance"]), int(facts["tokens"]), int(size))
            except Exception:
                continue

    def load_sums(self, layers: Sequence[Provenance], part: str = "") -> Sums | None:
        """The unfinished sums of these layers, taken in one pass (of one part of the corpus); None: there are none."""
        path = self._sums(layers, part)
        if path is None or not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                facts = file.metadata()
                totals = {int(name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
                return Sums(totals, int(facts["tokens"]), int(facts["documents"]))
        except Exception:
            return None

    def save_sums(self, sums: Sums, layers: Sequence[Provenance], part: str = "") -> None:
        """Keep unfinished sums."""
        path = self._sums(layers, part)
        if path is not None:
            facts = {"tokens": str(sums.tokens), "documents": str(sums.documents)}
            _write(path, {str(layer): total.cpu().contiguous() for layer, total in sums.totals.items()}, facts)

    def drop_sums(self, layers: Sequence[Provenance], part: str = "") -> None:
        """The sums are finished."""
        path = self._sums(layers, part)
        if path is not None:
            path.unlink(missing_ok=True)

    def _sums(self, layers: Sequence[Provenance], part: str) -> Path | None:
        return self._path([*map(dict, layers), part], "sums")

    def _path(self, named: object, suffix: str) -> Path | None:
        if self.folder is None:
            return None
        text = json.dumps([_VERSION, named], sort_keys=True)
        return self.folder / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.{suffix}"


def corpus_digest(texts: Sequence[str]) -> str:
    """sha256 over the texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _write(path: Path, tensors: Mapping[str, object], facts: Mapping[str, str]) -> None:
    """To a temporary name first, so that a broken run leaves no half file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f"{path.suffix}.{id(tensors)}.part")
    save_file(dict(tensors), part, metadata=dict(facts))
    part.replace(path)
