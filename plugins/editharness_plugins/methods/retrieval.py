"""Which stored fact a text is about: vectors of texts, their cosine, and the threshold above which a fact counts.

Two ways to get vectors. `Lexical` is offline: words weighted by how rare they are in the train split, TF-IDF (Spärck
Jones, 1972) through scikit-learn; a name that was never seen weighs most, a preposition next to nothing.
`Sentences` asks a model of the sentence-transformers library (Reimers and Gurevych, arXiv 1908.10084).
Both give rows of a sparse matrix, so that either is kept as three tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize

from editharness.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from editharness.types import Case

BUCKETS = 2**18
_TIE = 1e-6


class Embedder(Protocol):
    """Texts to vectors."""

    def embed(self, texts: Sequence[str]) -> csr_matrix:
        """One row per text, float32 [n, d], each of length one (or zero: nothing is known of the text)."""


@dataclass(frozen=True)
class Lexical:
    """Words weighted by rarity. `weights` float32 [2^18], one per hashed word."""

    weights: Tensor

    @classmethod
    def fit(cls, texts: Sequence[str]) -> Lexical:
        """Weights log((1 + n) / (1 + n_w)) + 1 from n texts, n_w of which hold the word w."""
        seen = np.asarray(_words(texts).sum(axis=0), dtype=np.float64).ravel()
        return cls(torch.from_numpy((np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32)))

    def embed(self, texts: Sequence[str]) -> csr_matrix:
        """Each text's words, once each, by their weights."""
        found = _words(texts)
        found.data *= self.weights.numpy()[found.indices]
        return normalize(found)


@dataclass(frozen=True)
class Sentences:
    """A model of sentence-transformers, loaded when the first text comes."""

    model: str

    @cached_property
    def _encoder(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise UsageError(
                "embedder sentence-transformers is not installed: pip install 'editharness[ike]', or leave it at "
                "--set embedder=lexical"
            ) from None
        try:
            return SentenceTransformer(self.model)
        except Exception as error:
            reason = str(error).split("\n")[0]
            raise UsageError(f"embedder_model={self.model} cannot be loaded: {reason}") from error

    def embed(self, texts: Sequence[str]) -> csr_matrix:
        """The model's sentence vectors."""
        vectors = self._encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return csr_matrix(np.asarray(vectors, dtype=np.float32))


@dataclass(frozen=True)
class Memory:
    """Vectors of what is stored, oldest first, [n, d]."""

    vectors: csr_matrix

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], name: str) -> Memory | None:
        """What `to_tensors` gave under this name; None if nothing is stored."""
        if f"{name}.values" not in tensors:
            return None
        parts = (tensors[f"{name}.{part}"].numpy() for part in ("values", "columns", "rows"))
        return cls(csr_matrix(tuple(parts), shape=tuple(tensors[f"{name}.shape"].tolist())))

    def to_tensors(self, name: str) -> dict[str, Tensor]:
        """Values, their columns, where each row begins, and the shape."""
        parts = {"values": self.vectors.data, "columns": self.vectors.indices, "rows": self.vectors.indptr}
        kept = {f"{name}.{part}": torch.from_numpy(np.ascontiguousarray(array)) for part, array in parts.items()}
        return {**kept, f"{name}.shape": torch.tensor(self.vectors.shape)}

    def append(self, vectors: csr_matrix) -> Memory:
        """The memory with more rows."""
        return Memory(vstack([self.vectors, vectors], format="csr"))

    def nearest(self, vector: csr_matrix) -> tuple[int, float]:
        """The row most similar to a vector [1, d], the latest of several, and its cosine."""
        similar = self.similar(vector)
        return int(np.flatnonzero(similar >= similar.max() - _TIE)[-1]), float(similar.max())

    def best(self, vector: csr_matrix, count: int) -> list[int]:
        """The `count` rows most similar to a vector [1, d], best first, the earlier of equal ones first."""
        return [int(row) for row in np.argsort(-self.similar(vector), kind="stable")[:count]]

    def similar(self, vector: csr_matrix) -> np.ndarray:
        """Cosines of all rows with a vector [1, d], [n]."""
        return np.asarray((self.vectors @ vector.T).todense()).ravel()


@dataclass(frozen=True)
class Pairs:
    """Cosines between the prompts of train cases and texts about the same fact, or about another subject's."""

    same: np.ndarray
    other: np.ndarray

    @classmethod
    def of(cls, embedder: Embedder, train: Sequence[Case]) -> Pairs:
        """Paraphrases are about the same fact, neighbours are not."""
        near = [(case.prompt, text) for case in train for text in case.paraphrases]
        far = [(case.prompt, near.prompt) for case in train for near in case.neighbours]
        return cls(_cosines(embedder, near), _cosines(embedder, far))

    def threshold(self) -> float:
        """The cosine between the two kinds that gets the largest mean share of each kind right.

        Raises UsageError where one kind is missing.
        """
        if not len(self.same) or not len(self.other):
            raise UsageError(
                "no threshold can be set: the train split has no paraphrases or no neighbours; give --set threshold=N"
            )
        scores = np.unique(np.concatenate([self.same, self.other]))
        between = (scores[:-1] + scores[1:]) / 2 if len(scores) > 1 else scores
        right = [(self.same > cut).mean() + (self.other <= cut).mean() for cut in between]
        return float(between[int(np.argmax(right))])


def texts_of(cases: Sequence[Case]) -> Iterator[str]:
    """Every way in which train cases ask for their facts and for their neighbours'."""
    for case in cases:
        yield from (case.prompt, *case.paraphrases, *(near.prompt for near in case.neighbours))


def _words(texts: Sequence[str]) -> csr_matrix:
    """Which words a text has, 0 or 1, [n, 2^18]."""
    hashing = HashingVectorizer(
        n_features=BUCKETS, alternate_sign=False, norm=None, binary=True, token_pattern=r"\w+", dtype=np.float32
    )
    return hashing.transform(texts)


def _cosines(embedder: Embedder, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
    if not pairs:
        return np.zeros(0)
    left, right = (embedder.embed([pair[side] for pair in pairs]) for side in (0, 1))
    return np.asarray(left.multiply(right).sum(axis=1)).ravel()
