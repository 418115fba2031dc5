"""What runs of one process share, one after the other: the loaded model, and what it says without any edit.

What is shared changes no bit of a record: the model is as it was loaded (its digest is compared after every run), and
an answer is used again only for the same batch of token ids.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from editharness.config import RunConfig
    from editharness.models.load import LoadedModel
    from editharness.registry import Registry
    from editharness.resume.folder import Unfinished
    from editharness.resume.keeper import Entry

ModelKey = tuple[Any, ...]


def model_key(config: RunConfig) -> ModelKey:
    """Runs with the same key can share a loaded model."""
    return (config.model, config.revision, config.dtype, config.device, config.trust_remote_code)


class Lent:
    """One model at a time; `drop` it after a run that failed, which may have left it edited."""

    def __init__(self) -> None:
        self._key: ModelKey | None = None
        self._loaded: LoadedModel | None = None
        self._answers: dict[str, Entry] = {}

    def to(self, config: RunConfig, registry: Registry, part: Unfinished) -> Registry:
        """The registry as it is, or with the last run's model where this one has the same; `part` gets the answers."""
        if self._key != model_key(config):
            self.drop()
        part.shared = self._answers
        return registry if self._loaded is None else registry.with_model(config.model, self._loaded)

    def back(self, config: RunConfig, loaded: LoadedModel) -> None:
        """Keep the model of a run that is over, for the next."""
        self._key, self._loaded = model_key(config), loaded

    def drop(self) -> None:
        """Forget the model and what it said."""
        self._key, self._loaded, self._answers = None, None, {}
