"""Tiny models of every family, made once, and hosts over them that can be made difficult."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from editharness.host import LocalHost
from editharness.locate.moments import Moments
from editharness.locate.templates import SHORT, Sampling
from editharness.models.load import LoadedModel, load_model
from editharness.models.spans import IGNORED, Prompts
from editharness.testing.tiny import TEXT, save_tiny

if TYPE_CHECKING:
    from editharness.types import Edit

TOO_WIDE = 5
"""Columns of padding that a difficult host adds to every row."""


class Interrupted(BaseException):
    """Raised from a call of `progress`, as Ctrl-C would be."""


class BenchHost(LocalHost):
    """A host whose sampled contexts come from the bench, and that can be made difficult.

    `wide`: `encode` pads every row further than need be. `stop_at`: the call of `progress` that is interrupted.
    `broken`: second moments are NaN. `reports` counts the calls of `progress`.
    """

    def __init__(self, loaded: LoadedModel, seed: int, contexts: dict[Any, tuple[str, ...]], **given: Any) -> None:
        super().__init__(loaded, seed=seed, texts=TEXT * 3, **given)
        self.contexts = contexts
        self.wide = self.broken = False
        self.stop_at: int | None = None
        self.reports = 0

    def encode(self, edits: Sequence[Edit], templates: Sequence[str] = ("{}",), *, targets: bool = True) -> Prompts:
        """As LocalHost's; with `wide`, more padding on the right."""
        prompts = super().encode(edits, templates, targets=targets)
        if not self.wide:
            return prompts
        filler = prompts.ids.new_full((len(prompts), TOO_WIDE), self.tokenizer.pad_token_id)
        return replace(
            prompts,
            ids=torch.cat([prompts.ids, filler], dim=1),
            mask=torch.cat([prompts.mask, torch.zeros_like(filler, dtype=torch.bool)], dim=1),
            labels=torch.cat([prompts.labels, torch.full_like(filler, IGNORED)], dim=1),
        )

    def templates(self, count: int, length: int, sampling: Sampling = SHORT) -> tuple[str, ...]:
        """As LocalHost's, sampled once per model and seed."""
        key = (self.loaded.digest, self.seed, count, length, sampling)
        if key not in self.contexts:
            self.contexts[key] = super().templates(count, length, sampling)
        return self.contexts[key]

    def moments(self, layer: int, *, together: Sequence[int] = ()) -> Moments:
        """As LocalHost's, or NaN."""
        found = super().moments(layer, together=together)
        return Moments(torch.full_like(found.c, torch.nan), found.tokens, found.provenance) if self.broken else found

    def progress(self, done: int, total: int, what: str) -> None:
        """Counts the calls; raises Interrupted at the one that is to be interrupted."""
        self.reports += 1
        if self.reports == self.stop_at:
            raise Interrupted


class Bench:
    """Models by family and dtype, second moments and sampled contexts, all kept below `folder` and in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded: dict[tuple[str, str], LoadedModel] = {}
        self._contexts: dict[Any, tuple[str, ...]] = {}

    def loaded(self, family: str, dtype: str = "float32") -> LoadedModel:
        """A tiny random model of a family of `editharness.testing.tiny`."""
        if (family, dtype) not in self._loaded:
            place = self.folder / family
            if not place.is_dir():
                save_tiny(family, place)
            self._loaded[family, dtype] = load_model(str(place), dtype=dtype, device="cpu")
        return self._loaded[family, dtype]

    def host(self, family: str, dtype: str = "float32", seed: int = 0) -> BenchHost:
        """A new host: of the model as it is, with nothing kept from an earlier host but what the harness may keep."""
        return BenchHost(self.loaded(family, dtype), seed, self._contexts, cache=self.folder / "cache")

    def drop(self, family: str) -> None:
        """Forget a family's models, which a faulty method has damaged; they are read anew."""
        for key in [key for key in self._loaded if key[0] == family]:
            del self._loaded[key]
