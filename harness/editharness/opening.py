"""Open what a command works on: the model, named and placed, and the host round it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

from editharness.cache import cache_folder
from editharness.config import RunConfig
from editharness.data.corpus import find_corpus
from editharness.errors import ModelError, NotCachedError, UsageError
from editharness.health import Gauge
from editharness.host import LocalHost
from editharness.models.load import LoadedModel, load_model
from editharness.registry import Registry
from editharness.types import Schedule

CORPUS_DOCUMENTS = 100_000
HEALTH_DOCUMENTS = 1000
"""Of so many texts at the head of the corpus a few are measured."""


class Wanted(Protocol):
    """What was asked for: RunConfig is one of these."""

    @property
    def model(self) -> str:
        """A packaged model, a folder or a hub id."""

    @property
    def revision(self) -> str | None:
        """Branch, tag or commit of a hub model."""

    @property
    def dtype(self) -> str:
        """float32, bfloat16 or float16."""

    @property
    def device(self) -> str:
        """cpu, cuda, cuda:N or mps."""

    @property
    def trust_remote_code(self) -> bool:
        """Whether a hub model's own code may run."""

    @property
    def seed(self) -> int:
        """The run's seed."""

    @property
    def corpus(self) -> Path | None:
        """Text for second moments; None: the model's own."""


def open_model(wanted: Wanted, registry: Registry) -> LoadedModel:
    """Load the model; a packaged one by its name. Raises ModelError with the nearest packaged name."""
    if wanted.model in registry.handed:
        return cast("LoadedModel", registry.handed[wanted.model])
    packaged = {name: entry.spec.folder for name, entry in registry.models.items()}
    try:
        return load_model(
            wanted.model,
            revision=wanted.revision,
            dtype=wanted.dtype,
            device=wanted.device,
            trust_remote_code=wanted.trust_remote_code,
            offline=offline(),
            packaged=packaged,
        )
    except ModelError as error:
        near = difflib.get_close_matches(wanted.model, set(packaged) - {wanted.model}, n=1)
        if not near:
            raise
        raise ModelError(f"{error}; did you mean {near[0]!r}?") from error


def open_host(
    wanted: Wanted, registry: Registry, loaded: LoadedModel, advance: Callable[[int], None], moments: str | None = None
) -> LocalHost:
    """The host of a loaded model; `advance` hears of every bit of progress. Raises ModelError without a module map.

    `moments`: the name of imported second moments, to be used in place of those over the corpus.
    """

    def texts() -> Sequence[str]:
        text = text_file(wanted, registry, loaded)
        return find_corpus(text, loaded.folder, CORPUS_DOCUMENTS, offline=offline())

    return LocalHost(
        loaded,
        seed=wanted.seed,
        texts=texts,
        cache=cache_folder(),
        progress=lambda done, total, what: advance(done),
        imported=moments,
    )


def text_file(wanted: Wanted, registry: Registry, loaded: LoadedModel) -> Path | None:
    """The file of ordinary text that was named, or that a packaged model names; None: look beside the model."""
    return wanted.corpus or (registry.model(wanted.model).corpus if loaded.source == "package" else None)


def open_gauge(config: RunConfig, registry: Registry, effective: Schedule, loaded: LoadedModel) -> Gauge | None:
    """What measures the model's health where edits carry on; None where there is no text at hand and none is needed."""
    if not effective.carry:
        return None
    try:
        # nothing is downloaded for a curve that nobody asked for
        ask_hub = config.stop_on_collapse and not offline()
        text = text_file(config, registry, loaded)
        texts = find_corpus(text, loaded.folder, HEALTH_DOCUMENTS, offline=not ask_hub)
    except NotCachedError as error:
        if config.stop_on_collapse:
            raise UsageError("--stop-on-collapse needs ordinary text: pass --corpus FILE, one per line") from error
        return None
    return Gauge(loaded.model, loaded.tokenizer, texts, stop=config.stop_on_collapse)


def offline() -> bool:
    """Whether the hub must not be asked: HF_HUB_OFFLINE is set."""
    return bool(os.environ.get("HF_HUB_OFFLINE"))
