"""Options of ICE, IKE and SERAC. Torch-free; names are the ones that --set takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from editharness.options import option


@dataclass(frozen=True)
class IceOptions:
    """How facts are found again and how they are told."""

    threshold: float | None = option(
        None, "a fact is told to texts whose cosine with its prompt is above this; none: set on the train split",
        low=0, high=1,
    )  # fmt: skip
    embedder: Literal["lexical", "sentence-transformers"] = option(
        "lexical", "lexical: weighted words (TF-IDF), offline; sentence-transformers: needs editharness[ike]"
    )
    embedder_model: str = option("sentence-transformers/all-MiniLM-L6-v2", "model for embedder=sentence-transformers")
    wording: Literal["new_fact", "imagine"] = option(
        "new_fact", "new_fact: 'New Fact: <fact>\\nPrompt: <text>'; imagine: 'Imagine that <fact>.\\n<text>'"
    )
    reserve: int = option(32, "tokens of the model's window that are kept free for the answer", low=1)


@dataclass(frozen=True)
class IkeOptions(IceOptions):
    """ICE's, and the demonstrations."""

    demos: int = option(16, "demonstrations before each fact, fewer where the window is short", low=0)
    order: Literal["best_first", "best_last"] = option(
        "best_first", "best_first: the most similar demonstration first, as the public code has it; best_last: last"
    )


@dataclass(frozen=True)
class SeracOptions:
    """The scope classifier, the counterfactual model, and the training of both."""

    width: int = option(64, "size of the scope classifier's vectors", low=1)
    hidden: int = option(128, "hidden size of the counterfactual model", low=8)
    layers: int = option(3, "layers of the counterfactual model", low=1)
    heads: int = option(4, "attention heads of the counterfactual model", low=1)
    steps: int = option(2000, "training steps, each on both parts", low=1)
    batch_size: int = option(32, "cases per training step", low=1)
    lr: float = option(0.001, "learning rate of Adam for the counterfactual model, after warm-up", low=0)
    scope_lr: float = option(0.01, "learning rate of Adam for the scope classifier", low=0)
    made_up: float = option(0.8, "share of training answers that are not the case's own", low=0, high=1)
    keep_every: int = option(500, "steps between two kept states of an unfinished training", low=1)
    reserve: int = option(32, "tokens of the model's window that are kept free for the answer", low=1)

    def __post_init__(self) -> None:
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden={self.hidden} must be a multiple of twice heads={self.heads}")
