"""Second moments of keys, C = E[k kᵀ] over all tokens of a corpus, in the unedited model.

They say which directions of key space old knowledge uses. Uncentred; the beginning-of-text token counts; each document
is cut at a length. One pass over the corpus serves all layers, and the result is kept on disk under a name made of
everything it depends on: the model's digest, the layer, the texts, the length.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from editharness.errors import MethodError
from editharness.locate.forward import chunks
from editharness.locate.solve import Factored, Outside, Subspace
from editharness.models.capture import capture
from editharness.models.spans import encode_texts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from editharness.models.modules import ModuleMap

MAX_LENGTH = 1024
FLOOR = 1e-8
"""Of the mean eigenvalue of C: what a direction is weighed at least, even if no text ever uses it."""
_VERSION = 1


@dataclass(frozen=True)
class Moments:
    """C [d_k, d_k] fp64 over `tokens` tokens; `provenance` says of which model, layer and texts."""

    c: Tensor
    tokens: int
    provenance: Mapping[str, str | int] = field(default_factory=dict)
    _factors: dict[float, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def factor(self, floor: float = FLOOR) -> Tensor:
        """Lower Cholesky factor of C + floor · (mean eigenvalue) · I, computed once per floor.

        A model has directions that no text uses (dead neurons, or fewer tokens than d_k). Without a floor nothing holds
        a change back there, and weights grow until they overflow in half precision. Where rounding leaves C negative
        the floor is raised to what Cholesky takes.
        """
        if floor not in self._factors:
            mean, eye = self.c.diagonal().mean(), torch.eye(len(self.c)).to(self.c)
            for share in sorted({floor, *(step for step in (1e-6, 1e-4) if step > floor)}):
                lower, failed = torch.linalg.cholesky_ex(self.c + share * mean * eye)
                if not failed.item():
                    self._factors[floor] = lower
                    break
            else:
                raise MethodError(
                    f"second moments over {self.tokens} tokens are not positive: give other or more texts"
                )
        return self._factors[floor]

    def cholesky(self, weight: float = 1.0, floor: float = FLOOR) -> Factored:
        """The preservation matrix weight · (C with its floor), ready to solve with."""
        if weight <= 0:
            raise MethodError("the weight of the second moments must be above 0: write for example covariance_weight=1")
        return Factored(self.factor(floor), weight)

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues, ascending [d_k], and eigenvectors [d_k, d_k] of C, computed once."""
        values, vectors = torch.linalg.eigh(self.c)
        return values, vectors

    def null_basis(self, threshold: float) -> Tensor:
        """Orthonormal basis [d_k, r] of the directions with eigenvalue below `threshold` (AlphaEdit's null space).

        Absolute, so it depends on the scale of the model's keys; a view of the eigenvectors, not a copy.
        """
        values, vectors = self.spectrum
        return vectors[:, : int((values < threshold).sum())]

    def null_space(self, threshold: float, weight: float = 1.0) -> Subspace | Outside:
        """The same as a preservation matrix to solve with, by the fewer of the directions in it and out of it."""
        values, vectors = self.spectrum
        rank = int((values < threshold).sum())
        if 2 * rank <= len(values):
            return Subspace(vectors[:, :rank], weight)
        return Outside(vectors[:, rank:], weight)


def collect(
    model: nn.Module,
    modules: ModuleMap,
    tokenizer: Any,
    texts: Sequence[str],
    layers: Sequence[int],
    *,
    max_length: int = MAX_LENGTH,
    budget: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, Moments]:
    """Moments of several layers in one pass. Products are fp32 within a chunk, sums fp64. Raises MethodError."""
    documents = [ids[:max_length] for ids, _ in encode_texts(tokenizer, texts) if ids]
    if not documents:
        raise MethodError("second moments need texts, and there are none: give a corpus with --texts FILE")
    device = next(model.parameters()).device
    names = {layer: modules.down_projection(layer) for layer in sorted(layers)}
    sums: dict[int, Tensor] = {}  # each where its layer is
    done = 0
    for rows in chunks([len(d) for d in documents], budget):
        ids, mask = _padded([documents[row] for row in rows], device)
        with torch.no_grad(), capture(model, dict.fromkeys(names.values(), "input"), stop=True) as seen:
            model(input_ids=ids, attention_mask=mask, use_cache=False)
        for layer, name in names.items():
            keys = seen[name][mask.to(seen[name].device)].float()
            if layer not in sums:
                sums[layer] = keys.new_zeros(keys.shape[1], keys.shape[1], dtype=torch.float64)
            sums[layer] += keys.mT @ keys
        done += len(rows)
        if progress is not None:
            progress(done, len(documents))
    tokens = sum(map(len, documents))
    return {layer: Moments((total / tokens).float().double().to(device), tokens) for layer, total in sums.items()}


def _padded(documents: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(map(len, documents))
    ids = torch.tensor([[*d, *[0] * (width - len(d))] for d in documents], device=device)
    mask = torch.tensor([[True] * len(d) + [False] * (width - len(d)) for d in documents], device=device)
    return ids, mask


@dataclass(frozen=True)
class MomentStore:
    """Moments on disk: one safetensors file per model, layer, corpus and length, named by a digest of those.

    Held in fp32, to which `collect` rounds, so that a stored C has the same bits as a new one. `folder` None keeps
    nothing.
    """

    folder: Path | None

    def path(self, provenance: Mapping[str, str | int]) -> Path | None:
        """Where the moments of this provenance are or would be."""
        if self.folder is None:
            return None
        text = json.dumps([_VERSION, dict(provenance)], sort_keys=True)
        return self.folder / "moments" / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.safetensors"

    def load(self, provenance: Mapping[str, str | int]) -> Moments | None:
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

    def save(self, moments: Moments) -> None:
        """Write to a temporary name first, so that a broken run leaves no half file."""
        path = self.path(moments.provenance)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"tokens": str(moments.tokens), "provenance": json.dumps(dict(moments.provenance), sort_keys=True)}
        part = path.with_suffix(f".{id(moments)}.part")
        save_file({"c": moments.c.float().cpu().contiguous()}, part, metadata=facts)
        part.replace(path)


def corpus_digest(texts: Sequence[str]) -> str:
    """sha256 over the texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
