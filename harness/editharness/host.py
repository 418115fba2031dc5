"""LocalHost: what the harness lends a method, over a model in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from editharness.errors import EditError
from editharness.inplace import Recording, recording
from editharness.locate.collecting import MAX_LENGTH
from editharness.locate.gathering import Gathering
from editharness.locate.moment_store import MomentStore
from editharness.locate.moments import Moments
from editharness.locate.templates import SHORT, Sampling, context_templates
from editharness.models.modules import ModuleMap, module_map
from editharness.models.spans import Prompts, encode_edits
from editharness.patch import Masters
from editharness.states import load_state, save_state
from editharness.types import Edit, State

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from editharness.models.load import LoadedModel


class LocalHost:
    """Implements method.Host for one loaded model.

    `texts` is the corpus of second moments, or a function that fetches it when it is first needed. `cache` is the
    folder for second moments (None: keep none), `imported` the name of imported ones to use in their place. Whoever
    else edits the model, the timeline above all, does so through `masters`, so that second moments and `original` are
    those of the unedited model at any moment.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        seed: int,
        texts: Sequence[str] | Callable[[], Sequence[str]] = (),
        cache: Path | None = None,
        progress: Callable[[int, int, str], None] | None = None,
        max_length: int = MAX_LENGTH,
        imported: str | None = None,
    ) -> None:
        self.loaded = loaded
        self.model: nn.Module = loaded.model
        self.tokenizer: Any = loaded.tokenizer
        self.modules: ModuleMap = module_map(self.model)
        self.seed = seed
        self.rng: Generator = torch.Generator().manual_seed(seed)
        self.masters = Masters(self.model)
        self._kept: Path | None = None
        self._progress = progress
        positions = getattr(loaded.model.config, "max_position_embeddings", None)
        self.gathering = Gathering(
            self.model, self.modules, self.tokenizer, loaded.digest, texts, MomentStore(cache),
            min(max_length, positions or max_length), self.unedited, self.progress, imported,
        )  # fmt: skip
        self._moments: dict[int, Moments] = {}
        self._templates: dict[tuple[int, int, Sampling], tuple[str, ...]] = {}

    @property
    def device(self) -> torch.device:
        """Where the model's weights are."""
        return next(self.model.parameters()).device

    def encode(self, edits: Sequence[Edit], templates: Sequence[str] = ("{}",), *, targets: bool = True) -> Prompts:
        """Every edit under every template, edit-major: ids, masks, labels, position of the subject's last token.

        Raises EditError naming the edit that cannot be placed or is longer than the model's positions.
        """
        prompts = encode_edits(self.tokenizer, edits, templates, targets=targets)
        positions = getattr(self.loaded.model.config, "max_position_embeddings", None)
        longest = prompts.mask.sum(dim=1)
        if positions is not None and len(prompts) and int(longest.max()) > positions:
            name = edits[int(prompts.edit[int(longest.argmax())])].id
            raise EditError(f"edit {name}: {int(longest.max())} tokens, and the model takes {positions} at most")
        return prompts

    def templates(self, count: int, length: int, sampling: Sampling = SHORT) -> tuple[str, ...]:
        """`count` context templates of `length` tokens, sampled from the unedited model with the run's seed."""
        key = (count, length, sampling)
        if key not in self._templates:
            generator = torch.Generator().manual_seed(self.seed * 1009 + length)
            with self.unedited():
                made = context_templates(self.model, self.tokenizer, count, length, generator, sampling)
            self._templates[key] = made
        return self._templates[key]

    def moments(self, layer: int, *, together: Sequence[int] = ()) -> Moments:
        """Second moments of the keys of `layer` in the unedited model; missing ones of `together` in the same pass."""
        wanted = sorted({layer, *together} - self._moments.keys())
        stored = {one: self.gathering.stored(one) for one in wanted}
        self._moments |= {one: self._near(found) for one, found in stored.items() if found is not None}
        missing = [one for one in wanted if one not in self._moments]
        if missing:
            self._moments |= {one: self._near(made) for one, made in self.gathering.gather(missing).items()}
        return self._moments[layer]

    def original(self, parameter: str) -> Tensor:
        """The unedited weight W0 of a parameter, fp32."""
        return self.masters.original(parameter)

    @contextmanager
    def unedited(self) -> Iterator[None]:
        """The model with its original weights, whatever is applied to it; on exit as it was."""
        now = {name: self.masters.parameter(name).clone() for name in self.masters.touched}
        for name in now:
            self.masters.restore(name)
        try:
            yield
        finally:
            for name, bits in now.items():
                self.masters.parameter(name).copy_(bits)

    def recording(self, *globs: str) -> AbstractContextManager[Recording]:
        """Run in-place editing code; on exit the model is restored bit for bit and the change is in `.patch`."""
        return recording(self.model, *globs)

    def progress(self, done: int, total: int, what: str) -> None:
        """Tell the user how far a long step is."""
        if self._progress is not None:
            self._progress(done, total, what)

    def reseed(self, purpose: str) -> None:
        """Begin `rng` anew, from the run's seed and what it is for, so that no use depends on an earlier one."""
        digest = hashlib.sha256(f"{self.seed} {purpose}".encode()).digest()
        self.rng = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)

    @contextmanager
    def keeping(self, path: Path | None) -> Iterator[None]:
        """While this is open, `keep` writes to `path` and `resume` reads it; None: nothing is kept."""
        self._kept = path
        try:
            yield
        finally:
            self._kept = None

    def resume(self) -> State | None:
        """What the running `prepare` last gave to `keep` before it was interrupted; None: start from the beginning."""
        found = load_state(self._kept) if self._kept is not None else None
        return None if found is None else found[0]

    def keep(self, state: State) -> None:
        """Keep all that the running `prepare` needs to go on from here, should it be interrupted."""
        if self._kept is not None:
            save_state(state, self._kept)

    def _near(self, moments: Moments) -> Moments:
        """The moments on the model's device, where they are solved with."""
        return Moments(moments.c.to(self.device), moments.tokens, moments.provenance)

    def imported(self) -> tuple[str, ...]:
        """A line per layer whose imported second moments were used: under which name, from which file."""
        used = [(layer, m.provenance) for layer, m in sorted(self._moments.items()) if "imported" in m.provenance]
        return tuple(
            f"second moments of layer {layer}: {p['imported']}, imported from {p['file']} (sha256 {p['sha256']})"
            for layer, p in used
        )
