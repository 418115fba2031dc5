"""Second moments of one model over one corpus: found in the store, taken up again, gathered in parts, or imported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from editharness.errors import MethodError
from editharness.locate.collecting import Sums, collect, joined
from editharness.locate.moment_store import MomentStore, corpus_digest
from editharness.locate.moments import Moments

if TYPE_CHECKING:
    from torch import nn

    from editharness.models.modules import ModuleMap

Part = tuple[int, int]
"""Which part of a corpus, counted from 1, and of how many."""
WHOLE: Part = (1, 1)
KEEP_SECONDS = 60.0
"""How often unfinished sums are kept at most."""


@dataclass
class Gathering:
    """Second moments of `model`, whose weights have `digest`.

    `texts` is the corpus, or a function that fetches it when it is first needed. `unedited` lends the model without any
    edit. `imported`: the name of imported moments, which are then used in place of own.
    """

    model: nn.Module
    modules: ModuleMap
    tokenizer: Any
    digest: str
    texts: Sequence[str] | Callable[[], Sequence[str]]
    store: MomentStore
    max_length: int
    unedited: Callable[[], AbstractContextManager[None]]
    progress: Callable[[int, int, str], None]
    imported: str | None = None
    _corpus: str | None = field(default=None, init=False)

    def stored(self, layer: int) -> Moments | None:
        """Those of a layer, if they are there."""
        return self.store.load(self.provenance(layer))

    def gather(self, layers: Sequence[int]) -> dict[int, Moments]:
        """Those of several layers, in one pass, and kept; raises MethodError where imported ones are wanted."""
        if self.imported is not None:
            raise MethodError(
                f"--moments {self.imported}: none of that name for layer {layers[0]} of this model; "
                f"bring them in with: editharness stats import FILE.npz --name {self.imported}"
            )
        made = self._keep(self.sums(layers))
        self.store.drop_sums(self._named(layers))
        return made

    def sums(self, layers: Sequence[int], part: Part = WHOLE) -> Sums:
        """The sums over one part of the corpus, from where an interrupted pass left off; kept until `settle`."""
        texts, named, name = self.corpus(), self._named(layers), _name(part)
        first, end = _bounds(len(texts), part)
        keep = _every(KEEP_SECONDS, lambda sums: self.store.save_sums(sums, named, name))
        with self.unedited():
            made = collect(
                self.model, self.modules, self.tokenizer, texts[first:end], layers, max_length=self.max_length,
                progress=lambda done, total: self.progress(done, total, "second moments"),
                start=self.store.load_sums(named, name), keep=keep,
            )  # fmt: skip
        self.store.save_sums(made, named, name)
        return made

    def settle(self, layers: Sequence[int], parts: int) -> tuple[int, ...]:
        """Once all parts are there, make the moments of them and forget the sums; the parts that are missing."""
        texts, named = self.corpus(), self._named(layers)
        found = {part: self.store.load_sums(named, _name(part)) for part in _parts(parts)}
        whole = {
            part: sums for part, sums in found.items()
            if sums is not None and sums.documents == _bounds(len(texts), part)[1] - _bounds(len(texts), part)[0]
        }  # fmt: skip
        if len(whole) == parts:
            self._keep(joined(list(whole.values())))
            for part in whole:
                self.store.drop_sums(named, _name(part))
        return tuple(part[0] for part in found if part not in whole)

    def corpus(self) -> Sequence[str]:
        """The texts, fetched once."""
        if callable(self.texts):
            self.texts = self.texts()
        return self.texts

    def provenance(self, layer: int) -> dict[str, str | int]:
        """What the moments of a layer depend on, by which they are found again."""
        if self.imported is not None:
            return imported_as(self.digest, layer, self.imported)
        texts = self.corpus()
        self._corpus = self._corpus or corpus_digest(texts)
        return {
            "model": self.digest,
            "layer": layer,
            "corpus": self._corpus,
            "documents": len(texts),
            "max_length": self.max_length,
        }

    def _named(self, layers: Sequence[int]) -> list[dict[str, str | int]]:
        return [self.provenance(layer) for layer in sorted(layers)]

    def _keep(self, sums: Sums) -> dict[int, Moments]:
        kept = {layer: Moments(m.c, m.tokens, self.provenance(layer)) for layer, m in sums.moments().items()}
        for moments in kept.values():
            self.store.save(moments)
        return kept


def imported_as(model: str, layer: int, name: str) -> dict[str, str | int]:
    """How imported second moments of a model (its digest) are found again."""
    return {"model": model, "layer": layer, "imported": name}


def _parts(count: int) -> Iterator[Part]:
    return ((number, count) for number in range(1, count + 1))


def _bounds(documents: int, part: Part) -> tuple[int, int]:
    number, count = part
    return (number - 1) * documents // count, number * documents // count


def _name(part: Part) -> str:
    """How the sums of one part are told apart; those of the whole have no name."""
    return "" if part == WHOLE else f"{part[0]}/{part[1]}"


def _every(seconds: float, keep: Callable[[Sums], None]) -> Callable[[Sums], None]:
    """`keep`, but no more often than that."""
    last = time.monotonic()

    def now(sums: Sums) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            keep(sums)
            last = time.monotonic()

    return now
